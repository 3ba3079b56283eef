import type { Bundle } from '@tessera/bundle';
import { type BoundSession, createBoundSession, type InferenceBackend } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import type { HostCacheOptions } from '../model/host-cache.js';
import type { LayerPieces } from '../model/layer-pieces.js';
import { LayerRunner } from '../model/layer-runner.js';
import { type PipelineEnds, PipelineExecutor, type PipelineOptions } from '../model/pipeline-executor.js';

/** All later pieces in this thread. */
export class LocalPieces implements LayerPieces {
  readonly pieces: LayerRunner[];
  readonly losses: { count: number; last: TesseraError | undefined } = { count: 0, last: undefined };
  missing: TesseraError | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(
    private readonly bundle: Bundle,
    private readonly sessions: readonly BoundSession[],
    private readonly size: HostCacheOptions,
  ) {
    this.pieces = sessions.map((session) => new LayerRunner(session, bundle.manifest.llm, size));
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Has a piece be another one, with an empty cache; where it is to be away first, until `comeBack`. */
  lose(piece: number, how: 'away' | 'replaced'): void {
    const error = new TesseraError('STAGE_UNAVAILABLE', `piece ${piece + 1} is gone`);
    this.pieces[piece] = new LayerRunner(this.sessions[piece] as BoundSession, this.bundle.manifest.llm, this.size);
    this.losses.count++;
    this.losses.last = error;
    if (how === 'away') this.missing = error;
    for (const listener of this.#listeners) listener();
  }

  comeBack(): void {
    this.missing = undefined;
    for (const listener of this.#listeners) listener();
  }

  async release(): Promise<void> {
    for (const session of this.sessions) await session.close();
  }
}

/** A model in pieces, all of them in this thread. */
export async function localPipeline(
  bundle: Bundle,
  options: PipelineOptions,
  backend: InferenceBackend = 'native',
): Promise<{ executor: PipelineExecutor; others: LocalPieces }> {
  const open = (graph: string) =>
    createBoundSession(bundle.file(graph), { threads: 1, device: 'cpu', backend, runs: 'in-pool' });
  const { head, pieces } = bundle.layerPieces;
  const [first, ...sessions] = await Promise.all(pieces.map(({ graph }) => open(graph)));
  const others = new LocalPieces(bundle, sessions, options);
  const ends: PipelineEnds = { first: first as BoundSession, head: await open(head) };
  return { executor: new PipelineExecutor(ends, bundle.manifest.llm, others, options), others };
}
