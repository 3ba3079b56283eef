import type { Bundle, ExpertCut } from '@tessera/bundle';
import { createSession, type Session, type SessionOptions } from '@tessera/inference';
import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import { requireCut } from '../model/expert-cut.js';

/** One expert of one layer. */
export interface ExpertPlace {
  readonly layer: number;
  readonly expert: number;
}

/** Experts that this process holds, each as a graph of its own. Running one blocks the thread. */
export class ExpertSessions {
  readonly #bundle: Bundle;
  readonly #options: SessionOptions;
  readonly #cut: ExpertCut;
  readonly #sessions = new Map<string, Session>();
  /** Runs under way: none of their sessions may be released. */
  readonly #running = new Set<Promise<unknown>>();

  constructor(bundle: Bundle, options: SessionOptions) {
    this.#bundle = bundle;
    this.#options = options;
    this.#cut = requireCut(bundle);
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
    await Promise.allSettled(this.#running);
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
    const running = session.run({ rows: given }, ['answers']);
    this.#running.add(running);
    try {
      const { answers } = await running;
      return answers?.data as Float32Array;
    } finally {
      this.#running.delete(running);
    }
  }

  async release(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.allSettled(this.#running);
    await Promise.all(sessions.map((session) => session.release()));
  }
}

function key({ layer, expert }: ExpertPlace): string {
  return `${layer}.${expert}`;
}
