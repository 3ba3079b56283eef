import type { Bundle, LlmSection } from '@tessera/bundle';
import { createSession, type Session } from '@tessera/inference';
import { type Tensor, tensor, zeros } from '@tessera/protocol';

export type Tensors = Record<string, Tensor>;

/** The inputs of llm.onnx for prompts that begin, padded to the longest. */
export function beginnings(
  { layers, kvHeads, headDim, hiddenSize, kvCache = 'float32' }: LlmSection,
  prompts: readonly (readonly number[])[],
) {
  const [batch, seq] = [prompts.length, Math.max(...prompts.map(({ length }) => length))];
  const columns = (make: (row: number, column: number) => number): BigInt64Array =>
    BigInt64Array.from(prompts.flatMap((_, row) => Array.from({ length: seq }, (_, at) => BigInt(make(row, at)))));
  const last = prompts.map(({ length }) => length - 1);
  const feeds: Tensors = {
    input_ids: tensor(
      'int64',
      [batch, seq],
      columns((row, at) => prompts[row]?.[at] ?? 0),
    ),
    media_embeddings: tensor('float32', [0, hiddenSize], new Float32Array(0)),
    media_positions: tensor('int64', [0, 2], new BigInt64Array(0)),
    position_ids: tensor(
      'int64',
      [batch, seq],
      columns((_, at) => at),
    ),
    seqlens_k: tensor('int32', [batch], Int32Array.from(last)),
    total_sequence_length: tensor('int32', [1], Int32Array.of(seq)),
    logit_positions: tensor(
      'int64',
      [batch, 2],
      BigInt64Array.from(
        last.flatMap((column, row) => [row, column]),
        BigInt,
      ),
    ),
  };
  for (let layer = 0; layer < layers; layer++) {
    for (const kind of ['key', 'value'])
      feeds[`past_${kind}.${layer}`] = tensor(kvCache, [batch, kvHeads, 0, headDim], zeros(kvCache, 0));
  }
  return feeds;
}

/** Runs the graphs of a bundle, each loaded once. */
export class BundleGraphs implements AsyncDisposable {
  readonly #sessions = new Map<string, Session>();

  constructor(private readonly bundle: Bundle) {}

  /** Gives a graph what it takes of the feeds; answers with all that it gives but for the present. */
  async run(file: string, feeds: Tensors): Promise<Tensors> {
    const path = this.bundle.file(file);
    const session = this.#sessions.get(file) ?? (await createSession(path, { threads: 1, device: 'cpu' }));
    this.#sessions.set(file, session);
    const needed = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
    const wanted = session.outputNames.filter((name) => !name.startsWith('present'));
    return session.run(Object.fromEntries(needed), wanted);
  }

  /** The pieces of layers, one after the other, and the head: all that they give together, which is what llm.onnx gives. */
  async runPieces(feeds: Tensors): Promise<Tensors> {
    const { head, pieces } = this.bundle.layerPieces;
    const given: Tensors = {};
    let hidden: Tensors = {};
    for (const { graph } of pieces) {
      const { output_hidden, ...fresh } = await this.run(graph, { ...feeds, ...hidden });
      hidden = { input_hidden: output_hidden as Tensor };
      Object.assign(given, fresh);
    }
    return Object.assign(given, await this.run(head, { ...feeds, ...hidden }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions.values()) await session.release();
  }
}
