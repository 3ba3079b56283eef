import type { LlmSection } from '@tessera/bundle';
import type { Session } from '@tessera/inference';
import type { Float32Tensor, Tensor } from '@tessera/protocol';
import { HostKvStorage } from '../kv/host-kv-storage.js';
import type { DecodeBatch, DecodeResult, ModelRunner, PrefillChunk, PrefillResult } from './model-runner.js';
import { batchInputs, type StepRow } from './step-inputs.js';

export interface OnnxRunnerOptions {
  readonly slots: number;
  /** The longest sequence that will be computed; at most the model's context. */
  readonly maxRows: number;
  /** Whether final hidden states are wanted: only models that draw need them. */
  readonly hidden: boolean;
}

/** Where the past of a call's rows lies. */
type Past = { readonly first: number; readonly count: number } | 'none';

const noHidden = new Float32Array(0);

/**
 * The whole model as one graph over a Session. Inputs and outputs: @tessera/compiler, stages/causal-lm.ts.
 *
 * New keys and values come out as rows and are appended here; the graph's own `present` outputs would be copied whole.
 */
export class OnnxRunner implements ModelRunner {
  readonly kv: HostKvStorage;
  readonly #session: Session;
  readonly #model: LlmSection;
  readonly #fetches: readonly string[];
  readonly #hasHidden: boolean;

  constructor(session: Session, model: LlmSection, options: OnnxRunnerOptions) {
    this.#session = session;
    this.#model = model;
    this.#hasHidden = options.hidden;
    this.kv = new HostKvStorage({
      layers: model.layers,
      slots: options.slots,
      kvHeads: model.kvHeads,
      headDim: model.headDim,
      maxRows: options.maxRows,
    });
    const fetches = ['logits'];
    if (options.hidden) fetches.push('hidden');
    for (let layer = 0; layer < model.layers; layer++) fetches.push(`new_key.${layer}`, `new_value.${layer}`);
    this.#fetches = fetches;
  }

  get vocabSize(): number {
    return this.#model.vocabSize;
  }

  get hiddenSize(): number {
    return this.#model.hiddenSize;
  }

  /** Chunks that begin a prompt go through the graph together; one with a past needs a call of its own. */
  async prefill(chunks: readonly PrefillChunk[]): Promise<readonly PrefillResult[]> {
    const results = new Map<PrefillChunk, PrefillResult>();
    const first = chunks.filter(({ position }) => position === 0);
    for (const batch of similarLengths(first)) {
      for (const [index, result] of (await this.#prefillBatch(batch, 'none')).entries()) {
        results.set(batch[index] as PrefillChunk, result);
      }
    }
    for (const chunk of chunks) {
      if (chunk.position === 0) continue;
      const [result] = await this.#prefillBatch([chunk], { first: chunk.slot, count: 1 });
      results.set(chunk, result as PrefillResult);
    }
    return chunks.map((chunk) => results.get(chunk) as PrefillResult);
  }

  async decode({ tokenIds, positions }: DecodeBatch): Promise<DecodeResult> {
    const rows = tokenIds.map((id, slot) => ({ slot, position: positions[slot] as number, tokenIds: [id], media: [] }));
    const outputs = await this.#run(rows, { first: 0, count: rows.length });
    return { logits: output(outputs, 'logits'), hidden: this.#hasHidden ? output(outputs, 'hidden') : noHidden };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  async #prefillBatch(chunks: readonly PrefillChunk[], past: Past): Promise<PrefillResult[]> {
    const outputs = await this.#run(chunks, past);
    const logits = output(outputs, 'logits');
    const hidden = this.#hasHidden ? output(outputs, 'hidden') : noHidden;
    const { vocabSize, hiddenSize } = this.#model;
    const stride = this.#hasHidden ? hidden.length / chunks.length : 0;
    return chunks.map(({ tokenIds }, row) => ({
      logits: logits.subarray(row * vocabSize, (row + 1) * vocabSize),
      hidden: hidden.subarray(row * stride, row * stride + (this.#hasHidden ? tokenIds.length * hiddenSize : 0)),
    }));
  }

  async #run(rows: readonly StepRow[], past: Past): Promise<Record<string, Tensor>> {
    const { layers, kvHeads, headDim, hiddenSize } = this.#model;
    const feeds: Record<string, Tensor> = batchInputs(rows, hiddenSize);
    for (let layer = 0; layer < layers; layer++) {
      const pastShape = [rows.length, kvHeads, past === 'none' ? 0 : this.kv.capacityOf(layer), headDim];
      feeds[`past_key.${layer}`] = float32(
        pastShape,
        past === 'none' ? noHidden : this.kv.keys(layer, past.first, past.count),
      );
      feeds[`past_value.${layer}`] = float32(
        pastShape,
        past === 'none' ? noHidden : this.kv.values(layer, past.first, past.count),
      );
    }
    const outputs = await this.#session.run(feeds, this.#fetches);
    const seq = feeds.input_ids?.shape[1] as number;
    for (let layer = 0; layer < layers; layer++) {
      const newKeys = output(outputs, `new_key.${layer}`);
      const newValues = output(outputs, `new_value.${layer}`);
      for (const [batchRow, { slot, position, tokenIds }] of rows.entries()) {
        this.kv.append(layer, slot, position, tokenIds.length, { newKeys, newValues, batchRow, seq });
      }
    }
    return outputs;
  }
}

function float32(shape: readonly number[], data: Float32Array): Float32Tensor {
  return { dtype: 'float32', shape, data };
}

function output(outputs: Record<string, Tensor>, name: string): Float32Array {
  return outputs[name]?.data as Float32Array;
}

/** Groups chunks so that padding to the longest of a group at most doubles no one's work. */
function similarLengths(chunks: readonly PrefillChunk[]): PrefillChunk[][] {
  const sorted = [...chunks].sort((a, b) => b.tokenIds.length - a.tokenIds.length);
  const groups: PrefillChunk[][] = [];
  for (const chunk of sorted) {
    const group = groups.at(-1);
    const longest = group?.[0]?.tokenIds.length ?? 0;
    if (group !== undefined && chunk.tokenIds.length * 2 >= longest) group.push(chunk);
    else groups.push([chunk]);
  }
  return groups;
}
