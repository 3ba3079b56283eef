import type { Bundle, LlmSection } from '@tessera/bundle';
import {
  type Binding,
  type BoundSession,
  type BoundSessionOptions,
  createBoundSession,
  createSession,
  type Session,
} from '@tessera/inference';
import { elementCount, type Tensor, tensor, zeros } from '@tessera/protocol';

/** A call of the LLM's graph: so many new tokens for each of so many sequences over as many cached ones. */
export interface GraphCall {
  readonly batch: number;
  readonly seq: number;
  readonly past: number;
  /** Of so many of each sequence's last new tokens logits are wanted; 1 where it is not said. */
  readonly logits?: number;
}

type Tensors = Record<string, Tensor>;

/** Keys or values of a layer, as the model has them. */
export type KvNumbers = Float32Array | Uint16Array;

/** The graph's inputs but for the cache: tokens that stand for any others. */
function tokens({ hiddenSize, vocabSize }: LlmSection, { batch, seq, past, logits = 1 }: GraphCall): Tensors {
  const columns = Array.from({ length: batch * seq }, (_, at) => at % seq);
  const ids = BigInt64Array.from(columns, (column) => BigInt((column * 37 + 11) % (vocabSize / 2)));
  const positions = BigInt64Array.from(columns, (column) => BigInt(past + column));
  const rows = past + seq;
  const wanted = Array.from({ length: batch * logits }, (_, at) => [
    BigInt(Math.floor(at / logits)),
    BigInt(seq - logits + (at % logits)),
  ]).flat();
  return {
    input_ids: tensor('int64', [batch, seq], ids),
    media_embeddings: tensor('float32', [0, hiddenSize], new Float32Array(0)),
    media_positions: tensor('int64', [0, 2], new BigInt64Array(0)),
    position_ids: tensor('int64', [batch, seq], positions),
    seqlens_k: tensor('int32', [batch], new Int32Array(batch).fill(rows - 1)),
    total_sequence_length: tensor('int32', [1], Int32Array.of(rows)),
    logit_positions: tensor('int64', [batch * logits, 2], BigInt64Array.from(wanted)),
  };
}

/** Keys and values of every layer: `past_key.L` and `past_value.L` for `name` "past". */
function caches(
  { layers, kvHeads, headDim, kvCache = 'float32' }: LlmSection,
  name: string,
  batch: number,
  capacity: number,
  buffers: readonly KvNumbers[],
): Tensors {
  const shape = [batch, kvHeads, capacity, headDim];
  const entries = buffers.map((buffer, at) => {
    const kind = at < layers ? 'key' : 'value';
    return [`${name}_${kind}.${at % layers}`, tensor(kvCache, shape, buffer.subarray(0, elementCount(shape)))];
  });
  return Object.fromEntries(entries);
}

/** Memory for the caches of a model. */
export function cacheBuffers(
  { layers, kvHeads, headDim, kvCache = 'float32' }: LlmSection,
  slots: number,
  capacity: number,
): KvNumbers[] {
  const length = slots * kvHeads * capacity * headDim;
  return Array.from({ length: 2 * layers }, () => zeros(kvCache, length));
}

/** The graph as it runs where outputs are copied: the past goes in, the new rows come out. */
export class CopyingGraph {
  private constructor(
    private readonly session: Session,
    private readonly model: LlmSection,
    private readonly buffers: readonly KvNumbers[],
  ) {}

  static async create(bundle: Bundle, buffers: readonly KvNumbers[]): Promise<CopyingGraph> {
    const { llm } = bundle.manifest;
    return new CopyingGraph(await createSession(bundle.file(llm.graph), { threads: 1, device: 'cpu' }), llm, buffers);
  }

  /** @param capacity rows that the cache shows of each sequence */
  prepare(call: GraphCall, capacity: number): () => Promise<Float32Array> {
    const feeds = { ...tokens(this.model, call), ...caches(this.model, 'past', call.batch, capacity, this.buffers) };
    const fresh = Array.from({ length: this.model.layers }, (_, layer) => [`new_key.${layer}`, `new_value.${layer}`]);
    const fetches = ['logits', ...fresh.flat()];
    return async () => (await this.session.run(feeds, fetches)).logits?.data as Float32Array;
  }

  release(): Promise<void> {
    return this.session.release();
  }
}

/** The graph over slots of a fixed length that it writes in place. */
export class BoundGraph {
  private constructor(
    private readonly session: BoundSession,
    private readonly model: LlmSection,
    private readonly capacity: number,
    private readonly buffers: readonly KvNumbers[],
  ) {}

  static async create(
    bundle: Bundle,
    options: Omit<BoundSessionOptions, 'threads' | 'device'> & { readonly threads?: number },
    capacity: number,
    buffers: readonly KvNumbers[],
  ): Promise<BoundGraph> {
    const { llm } = bundle.manifest;
    const session = await createBoundSession(bundle.file(llm.graph), { threads: 1, device: 'cpu', ...options });
    return new BoundGraph(session, llm, capacity, buffers);
  }

  /** A binding for calls of this form, over the first slots. */
  bind(call: GraphCall): { readonly binding: Binding; readonly logits: Float32Array } {
    const binding = this.session.createBinding();
    return { binding, logits: this.rebind(binding, call) };
  }

  /** @returns where the logits will be */
  rebind(binding: Binding, call: GraphCall): Float32Array {
    const { batch } = call;
    const { vocabSize } = this.model;
    const rows = batch * (call.logits ?? 1);
    const logits = new Float32Array(rows * vocabSize);
    binding.bindInputs({
      ...tokens(this.model, call),
      ...caches(this.model, 'past', batch, this.capacity, this.buffers),
    });
    binding.bindOutputs({
      logits: tensor('float32', [rows, vocabSize], logits),
      ...caches(this.model, 'present', batch, this.capacity, this.buffers),
    });
    return logits;
  }

  release(): Promise<void> {
    return this.session.close();
  }
}
