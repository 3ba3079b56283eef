import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { smolLm2 } from '../random-llama/shape.js';

/** What is called of transformers.js, which is no dependency: it is found where somebody has installed it. */
interface TransformersJs {
  readonly env: { allowRemoteModels: boolean };
  readonly AutoModelForCausalLM: { from_pretrained(folder: string, options: object): Promise<CausalLm> };
  readonly Tensor: new (type: string, data: object, dims: readonly number[]) => unknown;
  readonly DynamicCache: new (entries: object) => object;
}
interface CausalLm {
  forward(inputs: object): Promise<{ readonly logits: { readonly dims: readonly number[] } }>;
}

/** Where transformers.js is looked for: in this tree, or in the folder that this variable names. */
const folderVariable = 'BENCH_TRANSFORMERS_JS';

/** @returns its path, or undefined where it is not installed */
export function findTransformersJs(): string | undefined {
  const folder = process.env[folderVariable] ?? process.cwd();
  try {
    return createRequire(join(folder, 'package.json')).resolve('@huggingface/transformers');
  } catch {
    return undefined;
  }
}

/** A model in transformers.js, in one thread: what a forward pass of it costs, without the choice of a token. */
export class TransformersModel {
  private constructor(
    private readonly package_: TransformersJs,
    private readonly model: CausalLm,
  ) {}

  /** @param path where transformers.js is; `folder` and `dtype` are those of an export */
  static async open(path: string, folder: string, dtype: string): Promise<TransformersModel> {
    const package_ = (await import(pathToFileURL(path).href)) as TransformersJs;
    package_.env.allowRemoteModels = false;
    const model = await package_.AutoModelForCausalLM.from_pretrained(folder, {
      dtype,
      device: 'cpu',
      local_files_only: true,
      session_options: { intraOpNumThreads: 1, interOpNumThreads: 1 },
    });
    return new TransformersModel(package_, model);
  }

  /** Passes of one more token of each of so many sequences over `past` tokens, or of a prompt of `past` from nothing. */
  sequences(count: number, past: number): { decode(): Promise<unknown>; prefill(): Promise<unknown> } {
    const cache = this.cache(count, past);
    return {
      decode: () => this.model.forward({ ...this.tokens(count, 1, past), past_key_values: cache }),
      prefill: () => this.model.forward(this.tokens(1, past, 0)),
    };
  }

  private tokens(batch: number, seq: number, past: number): object {
    const { Tensor } = this.package_;
    const rows = past + seq;
    const ids = BigInt64Array.from({ length: batch * seq }, (_, at) => BigInt(((at % seq) * 37 + 11) % 24_000));
    return {
      input_ids: new Tensor('int64', ids, [batch, seq]),
      attention_mask: new Tensor('int64', new BigInt64Array(batch * rows).fill(1n), [batch, rows]),
      num_logits_to_keep: new Tensor('int64', BigInt64Array.of(1n), []),
    };
  }

  private cache(batch: number, past: number): object {
    const { num_hidden_layers: layers, num_key_value_heads: kvHeads } = smolLm2;
    const dims = [batch, kvHeads, past, smolLm2.hidden_size / smolLm2.num_attention_heads];
    const length = dims.reduce((product, size) => product * size, 1);
    const { Tensor, DynamicCache } = this.package_;
    const entries = Array.from({ length: layers }, (_, layer) =>
      ['key', 'value'].map((kind) => [
        `past_key_values.${layer}.${kind}`,
        new Tensor('float32', new Float32Array(length).fill(0.05), dims),
      ]),
    );
    return new DynamicCache(Object.fromEntries(entries.flat()));
  }
}
