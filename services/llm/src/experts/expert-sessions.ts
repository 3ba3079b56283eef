import type { Bundle, ExpertCut } from '@tessera/bundle';
import { createSession, type Session, type SessionOptions } from '@tessera/inference';
import { type Float32Tensor, TesseraError } from '@tessera/protocol';

/** One expert of one layer. */
export interface ExpertPlace {
  readonly layer: number;
  readonly expert: number;
}

/**
 * What a bundle says of its experts.
 * @throws TesseraError CONFIG_INVALID where it was not compiled with them cut out
 */
export function requireCut({ dir, manifest }: Bundle): ExpertCut {
  if (manifest.llm.experts !== undefined) return manifest.llm.experts;
  throw new TesseraError(
    'CONFIG_INVALID',
    `the bundle in ${dir} has no experts that could be placed; compile it with --cut experts`,
  );
}

/** Experts that this process holds, each as a graph of its own. Running one blocks the thread. */
export class ExpertSessions {
  readonly #bundle: Bundle;
  readonly #options: SessionOptions;
  readonly #cut: ExpertCut;
  readonly #sessions = new Map<string, Session>();

  constructor(bundle: Bundle, options: SessionOptions) {
    this.#bundle = bundle;
    this.#options = options;
    this.#cut = requireCut(bundle);
  }

  get size(): number {
    return this.#sessions.size;
  }

  holds({ layer, expert }: ExpertPlace): boolean {
    return this.#sessions.has(key({ layer, expert }));
  }

  /** Loads one, unless it is held already. @throws TesseraError CONFIG_INVALID when the model has no such expert */
  async load(place: ExpertPlace): Promise<void> {
    if (this.holds(place)) return;
    const file = this.#cut.layers.find(({ layer }) => layer === place.layer)?.experts[place.expert];
    if (file === undefined) {
      throw new TesseraError('CONFIG_INVALID', `the model has no expert ${place.expert} in layer ${place.layer}`);
    }
    this.#sessions.set(key(place), await createSession(this.#bundle.file(file), this.#options));
  }

  async drop(place: ExpertPlace): Promise<void> {
    const session = this.#sessions.get(key(place));
    this.#sessions.delete(key(place));
    await session?.release();
  }

  /**
   * @param rows float32 [n, hidden], n at least 1
   * @returns as many numbers
   */
  async run(place: ExpertPlace, rows: Float32Array): Promise<Float32Array> {
    const session = this.#sessions.get(key(place));
    if (session === undefined) throw new TesseraError('INTERNAL', `expert ${key(place)} is not held`);
    const { hiddenSize } = this.#bundle.manifest.llm;
    const given: Float32Tensor = { dtype: 'float32', shape: [rows.length / hiddenSize, hiddenSize], data: rows };
    const { answers } = await session.run({ rows: given }, ['answers']);
    return answers?.data as Float32Array;
  }

  async release(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map((session) => session.release()));
  }
}

function key({ layer, expert }: ExpertPlace): string {
  return `${layer}.${expert}`;
}
