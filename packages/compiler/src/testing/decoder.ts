import type { LlmSection } from '@tessera/bundle';
import type { Session } from '@tessera/inference';
import { type Float32Tensor, type Tensor, tensor, zeros } from '@tessera/protocol';

export interface MediaRows {
  /** [rows, hiddenSize]. */
  readonly embeddings: Float32Array;
  /** Sequence of the batch, and column, where each row stands. */
  readonly positions: readonly (readonly number[])[];
}

export interface StepResult {
  /** [wanted positions, vocab]; one of each sequence where no others are named. */
  readonly logits: Float32Tensor;
  /** [batch, seq, hidden]. */
  readonly hidden: Float32Tensor;
  /** What else was asked for, by name. */
  readonly more: Readonly<Record<string, Float32Tensor>>;
}

/** The plainest caller of llm.onnx: a cache per sequence, grown by appending the new rows. */
export class Decoder {
  /** Per sequence, layer and kind (key, value): [kvHeads, capacity, headDim]. */
  private readonly caches: (Float32Array | Uint16Array)[][][];
  readonly lengths: number[];
  private readonly capacity: number;

  constructor(
    private readonly session: Session,
    readonly llm: LlmSection,
    /** How many sequences, and how many rows the cache of each can hold. */
    size: { readonly sequences: number; readonly capacity: number },
  ) {
    this.capacity = size.capacity;
    const { sequences } = size;
    const values = llm.kvHeads * size.capacity * llm.headDim;
    this.caches = Array.from({ length: sequences }, () =>
      Array.from({ length: llm.layers }, () => [zeros(this.type, values), zeros(this.type, values)]),
    );
    this.lengths = new Array(sequences).fill(0);
  }

  /**
   * One step of some of the sequences: `ids` right-padded to one length, of which `valid` are real.
   * `capacity` is what the graph is shown of the caches, `logitsAt` the rows and columns whose logits are wanted (the last
   * of each sequence where it is not given), `more` names outputs to fetch besides.
   */
  async step(
    sequences: readonly number[],
    ids: readonly (readonly number[])[],
    options: {
      media?: MediaRows;
      capacity?: number;
      total?: number;
      logitsAt?: readonly (readonly number[])[];
      more?: readonly string[];
    } = {},
  ): Promise<StepResult> {
    const { kvHeads, headDim, hiddenSize, layers } = this.llm;
    const batch = sequences.length;
    const seq = Math.max(...ids.map((row) => row.length));
    const shown = options.capacity ?? this.capacity;
    const padded = ids.flatMap((row) => [...row, ...new Array(seq - row.length).fill(0)]);
    const starts = sequences.map((sequence) => this.lengths[sequence] as number);
    const ends = starts.map((start, row) => start + (ids[row] as readonly number[]).length);
    const media = options.media ?? { embeddings: new Float32Array(0), positions: [] };
    const wanted = options.logitsAt ?? ids.map((row, index) => [index, row.length - 1]);
    const feeds: Record<string, Tensor> = {
      input_ids: tensor('int64', [batch, seq], BigInt64Array.from(padded, BigInt)),
      media_embeddings: tensor('float32', [media.positions.length, hiddenSize], media.embeddings),
      media_positions: tensor('int64', [media.positions.length, 2], BigInt64Array.from(media.positions.flat(), BigInt)),
      position_ids: tensor(
        'int64',
        [batch, seq],
        BigInt64Array.from(starts.flatMap((start) => Array.from({ length: seq }, (_, i) => BigInt(start + i)))),
      ),
      seqlens_k: tensor(
        'int32',
        [batch],
        Int32Array.from(ends, (end) => end - 1),
      ),
      total_sequence_length: tensor('int32', [1], Int32Array.of(options.total ?? Math.max(...ends))),
      logit_positions: tensor('int64', [wanted.length, 2], BigInt64Array.from(wanted.flat(), BigInt)),
    };
    const more = options.more ?? [];
    const fetches = ['logits', 'hidden', ...more];
    for (let layer = 0; layer < layers; layer++) {
      for (const [kind, name] of ['key', 'value'].entries()) {
        const past = zeros(this.type, batch * kvHeads * shown * headDim);
        for (const [row, sequence] of sequences.entries()) {
          for (let head = 0; head < kvHeads; head++) {
            const cache = this.cache(sequence, layer, kind);
            const from = head * this.capacity * headDim;
            const rows = cache.subarray(from, from + Math.min(shown, starts[row] as number) * headDim);
            past.set(rows, (row * kvHeads + head) * shown * headDim);
          }
        }
        feeds[`past_${name}.${layer}`] = tensor(this.type, [batch, kvHeads, shown, headDim], past);
        fetches.push(`new_${name}.${layer}`);
      }
    }
    const results = await this.session.run(feeds, fetches);
    for (let layer = 0; layer < layers; layer++) {
      for (const [kind, name] of ['key', 'value'].entries()) {
        const fresh = results[`new_${name}.${layer}`] as Tensor<'float32' | 'float16'>;
        for (const [row, sequence] of sequences.entries()) {
          const count = (ids[row] as readonly number[]).length;
          for (let at = 0; at < count * kvHeads; at++) {
            const [column, head] = [Math.floor(at / kvHeads), at % kvHeads];
            const from = (row * seq * kvHeads + at) * headDim;
            const to = (head * this.capacity + (starts[row] as number) + column) * headDim;
            this.cache(sequence, layer, kind).set(fresh.data.subarray(from, from + headDim), to);
          }
        }
      }
    }
    for (const [row, sequence] of sequences.entries()) this.lengths[sequence] = ends[row] as number;
    return {
      logits: results.logits as Float32Tensor,
      hidden: results.hidden as Float32Tensor,
      more: Object.fromEntries(more.map((name) => [name, results[name] as Float32Tensor])),
    };
  }

  private get type(): 'float32' | 'float16' {
    return this.llm.kvCache ?? 'float32';
  }

  private cache(sequence: number, layer: number, kind: number): Float32Array | Uint16Array {
    return this.caches[sequence]?.[layer]?.[kind] as Float32Array | Uint16Array;
  }
}

export function argmax(values: Float32Array): number {
  return values.reduce((best, value, index) => (value > (values[best] as number) ? index : best), 0);
}

/** Decodes one prompt greedily: the ids up to the end token, which is left out. */
export async function greedy(
  decoder: Decoder,
  prompt: readonly number[],
  options: { readonly media?: MediaRows; readonly maxTokens: number },
): Promise<{ ids: number[]; prefill: StepResult }> {
  const prefill = await decoder.step([0], [prompt], { media: options.media });
  const ids: number[] = [];
  let next = argmax(prefill.logits.data);
  while (!decoder.llm.eosTokenIds.includes(next) && ids.length < options.maxTokens) {
    ids.push(next);
    next = argmax((await decoder.step([0], [[next]])).logits.data);
  }
  return { ids, prefill };
}
