import type { Bundle } from '@tessera/bundle';
import type { BoundSessionOptions } from '@tessera/inference';
import {
  DataType,
  decodeTensor,
  type ExpertBatch,
  type ExpertHoldings,
  TesseraError,
  viewTensor,
} from '@tessera/protocol';
import { requireCut } from '../../model/expert-cut.js';
import { ExpertSessions } from '../expert-sessions.js';
import { ExpertSet } from '../expert-set.js';
import type { Placement } from '../placement.js';

/** The experts of one group, held by this process. Computing blocks its thread: an expert's rows take tens of microseconds. */
export class ExpertShard {
  readonly #sessions: ExpertSessions;
  readonly #held: ExpertSet;
  readonly #hiddenSize: number;
  readonly #listeners = new Set<() => void>();
  /** The last whose experts are all here. */
  #placement: Placement | undefined;
  #draining = false;
  /** Told how many rows were computed. */
  onComputed: (rows: number) => void = () => {};
  /** Loading and dropping, one after the other. */
  #moving: Promise<void> = Promise.resolve();

  constructor(
    bundle: Bundle,
    session: BoundSessionOptions,
    readonly group: string,
  ) {
    this.#sessions = new ExpertSessions(bundle, session);
    this.#held = new ExpertSet(requireCut(bundle));
    this.#hiddenSize = bundle.manifest.llm.hiddenSize;
  }

  get holdings(): ExpertHoldings {
    return { placementEpoch: this.#placement?.epoch ?? 0, held: this.#held.toBytes(), draining: this.#draining };
  }

  /** How many experts are held. */
  get size(): number {
    return this.#held.size;
  }

  /** Calls the listener at each change of the holdings; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Loads what a placement adds, and says so; keeps what it takes away until `mayDrop` resolves: until no engine asks for
   * it any more.
   * @throws TesseraError CONFIG_INVALID when the placement has no such group
   */
  take(placement: Placement, mayDrop: () => Promise<void> = async () => {}): Promise<void> {
    const taken = this.#inTurn(() => this.#take(placement));
    // A later placement is not kept waiting: an engine that passes this one over waits for that.
    void taken
      .then(mayDrop)
      .then(() => this.#inTurn(() => this.#drop(placement)))
      .catch(() => {});
    return taken;
  }

  drain(): void {
    this.#draining = true;
    this.#tell();
  }

  /**
   * Computes a batch.
   * @throws TesseraError EXPERT_NOT_HELD, REQUEST_INVALID, TENSOR_INVALID
   */
  async compute({ layer, experts, rowCounts, rows }: ExpertBatch): Promise<ReturnType<typeof viewTensor>> {
    const given = decodeTensor(rows, 'batch.rows');
    const [count, width] = given.shape;
    const sum = rowCounts.reduce((total, each) => total + each, 0);
    if (experts.length !== rowCounts.length || rowCounts.includes(0) || sum !== count || given.shape.length !== 2) {
      throw TesseraError.invalidField('batch.row_counts', `do not share out rows of [${given.shape.join(', ')}]`);
    }
    if (width !== this.#hiddenSize) {
      throw TesseraError.invalidField('batch.rows', `have a width of ${width}; the model's is ${this.#hiddenSize}`);
    }
    const missing = experts.find((expert) => !this.#held.has({ layer, expert }));
    if (missing !== undefined) {
      throw new TesseraError('EXPERT_NOT_HELD', `expert ${missing} of layer ${layer} is not held by this shard`);
    }
    const shares = experts.map((expert, index) => ({ expert, count: rowCounts[index] as number }));
    const answers = await this.#sessions.compute(layer, shares, given.data);
    this.onComputed(sum);
    const as = rows?.dataType === DataType.FLOAT16 ? 'float16' : 'float32';
    return viewTensor({ dtype: 'float32', shape: given.shape, data: answers }, as);
  }

  async release(): Promise<void> {
    await this.#sessions.release();
  }

  async #take(placement: Placement): Promise<void> {
    const wanted = placement.groups.get(this.group);
    if (wanted === undefined) {
      const known = [...placement.groups.keys()].sort().join(', ');
      throw new TesseraError('CONFIG_INVALID', `the placement has no group ${this.group}; it has ${known}`);
    }
    for (const place of wanted) {
      await this.#sessions.load(place);
      this.#held.add(place);
    }
    this.#placement = placement;
    this.#tell();
  }

  /** Unless there is a later placement by now, which says what goes and what stays. */
  async #drop(placement: Placement): Promise<void> {
    if (placement !== this.#placement) return;
    const wanted = placement.groups.get(this.group);
    const leaving = [...this.#held].filter((place) => wanted?.has(place) !== true);
    if (leaving.length === 0) return;
    for (const place of leaving) this.#held.delete(place);
    this.#tell();
    for (const place of leaving) await this.#sessions.drop(place);
  }

  #inTurn(move: () => Promise<void>): Promise<void> {
    const moved = this.#moving.then(move);
    this.#moving = moved.catch(() => {});
    return moved;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
