import { setImmediate as turn } from 'node:timers/promises';
import type { Bundle, ExpertCut } from '@tessera/bundle';
import { type Binding, type BoundSession, type BoundSessionOptions, createBoundSession } from '@tessera/inference';
import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import { requireCut } from '../model/expert-cut.js';

/** One expert of one layer. */
export interface ExpertPlace {
  readonly layer: number;
  readonly expert: number;
}

/** How many rows an expert is given. */
export interface ExpertShare {
  readonly expert: number;
  /** At least 1. */
  readonly count: number;
}

interface Loaded {
  readonly session: BoundSession;
  readonly binding: Binding;
}

interface RowTensors {
  readonly rows: Float32Tensor;
  readonly answers: Float32Tensor;
}

/** The thread hears what it is told after so long: not between experts of some microseconds each. */
const mostBusyMs = 2;

/** So many bytes of rows are copied in less time than it takes to bind them where they lie. */
const copiedBytes = 32 << 10;

/** Experts that this process holds, each as a graph of its own. Running one blocks the thread. */
export class ExpertSessions {
  readonly #bundle: Bundle;
  readonly #options: BoundSessionOptions;
  readonly #cut: ExpertCut;
  readonly #hiddenSize: number;
  readonly #loaded = new Map<string, Loaded>();
  /** Memory for few rows, which stays bound from call to call, whichever expert is called. */
  readonly #memory: { readonly rows: Float32Array; readonly answers: Float32Array };
  readonly #steadyRows: number;
  /** Views of it, by their number of rows. */
  readonly #steady: (RowTensors | undefined)[] = [];
  /** The memory is one, so calls take turns; nothing is released while one is under way. */
  #open = 0;
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(bundle: Bundle, options: BoundSessionOptions) {
    this.#bundle = bundle;
    this.#options = options;
    this.#cut = requireCut(bundle);
    this.#hiddenSize = bundle.manifest.llm.hiddenSize;
    this.#steadyRows = Math.max(1, Math.floor(copiedBytes / (this.#hiddenSize * 4)));
    const numbers = this.#steadyRows * this.#hiddenSize;
    this.#memory = { rows: new Float32Array(numbers), answers: new Float32Array(numbers) };
  }

  holds({ layer, expert }: ExpertPlace): boolean {
    return this.#loaded.has(key(layer, expert));
  }

  /** Loads one, unless it is held already. @throws TesseraError CONFIG_INVALID when the model has no such expert */
  async load(place: ExpertPlace): Promise<void> {
    if (this.holds(place)) return;
    const file = this.#cut.layers.find(({ layer }) => layer === place.layer)?.experts[place.expert];
    if (file === undefined) {
      throw new TesseraError('CONFIG_INVALID', `the model has no expert ${place.expert} in layer ${place.layer}`);
    }
    const session = await createBoundSession(this.#bundle.file(file), { ...this.#options, yields: false });
    this.#loaded.set(key(place.layer, place.expert), { session, binding: session.createBinding() });
  }

  /** Lets one go, once the calls before have ended. */
  async drop({ layer, expert }: ExpertPlace): Promise<void> {
    const loaded = this.#loaded.get(key(layer, expert));
    this.#loaded.delete(key(layer, expert));
    await this.#inTurn(async () => loaded?.session.close());
  }

  /**
   * Computes rows of one layer by several experts.
   * @param rows float32 [n, hidden]: those of the first expert, then those of the second, and so on
   * @returns the answers, in the same order
   */
  async compute(layer: number, shares: readonly ExpertShare[], rows: Float32Array): Promise<Float32Array> {
    // Before its turn comes, one may be dropped; it is released after this.
    const bindings = shares.map(({ expert }) => this.#bindingOf(layer, expert));
    return this.#inTurn(async () => {
      const answers = new Float32Array(rows.length);
      let at = 0;
      let sinceMs = performance.now();
      for (const [index, { count }] of shares.entries()) {
        if (performance.now() - sinceMs > mostBusyMs) {
          await turn();
          sinceMs = performance.now();
        }
        const end = at + count * this.#hiddenSize;
        const own = { rows: rows.subarray(at, end), answers: answers.subarray(at, end) };
        await this.#run(bindings[index] as Binding, count, own);
        at = end;
      }
      return answers;
    });
  }

  async release(): Promise<void> {
    const loaded = [...this.#loaded.values()];
    this.#loaded.clear();
    await this.#inTurn(() => Promise.all(loaded.map(({ session }) => session.close())));
  }

  #bindingOf(layer: number, expert: number): Binding {
    const loaded = this.#loaded.get(key(layer, expert));
    if (loaded === undefined) throw new TesseraError('INTERNAL', `expert ${key(layer, expert)} is not held`);
    return loaded.binding;
  }

  async #run(
    binding: Binding,
    count: number,
    { rows, answers }: { readonly rows: Float32Array; readonly answers: Float32Array },
  ): Promise<void> {
    if (count <= this.#steadyRows) {
      const steady = this.#steadyFor(count);
      steady.rows.data.set(rows);
      bind(binding, steady);
      await binding.run();
      answers.set(steady.answers.data);
      return;
    }
    const shape = [count, this.#hiddenSize];
    bind(binding, {
      rows: { dtype: 'float32', shape, data: rows },
      answers: { dtype: 'float32', shape, data: answers },
    });
    try {
      await binding.run();
    } finally {
      // What is bound is kept, and that may be a prompt's rows.
      bind(binding, this.#steadyFor(1));
    }
  }

  #steadyFor(count: number): RowTensors {
    const known = this.#steady[count];
    if (known !== undefined) return known;
    const shape = [count, this.#hiddenSize];
    const tensor = (of: Float32Array): Float32Tensor => {
      return { dtype: 'float32', shape, data: of.subarray(0, count * this.#hiddenSize) };
    };
    const made = { rows: tensor(this.#memory.rows), answers: tensor(this.#memory.answers) };
    this.#steady[count] = made;
    return made;
  }

  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const taken = this.#open++ === 0 ? call() : this.#lastTurn.then(call);
    this.#lastTurn = taken.then(this.#onEnded, this.#onEnded);
    return taken;
  }

  readonly #onEnded = (): void => {
    this.#open--;
  };
}

function bind(binding: Binding, { rows, answers }: RowTensors): void {
  binding.bindInputs({ rows });
  binding.bindOutputs({ answers });
}

function key(layer: number, expert: number): string {
  return `${layer}.${expert}`;
}
