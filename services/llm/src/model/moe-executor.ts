import type { Bundle, ExpertCut, LlmSection } from '@tessera/bundle';
import { createSession, type Session, type SessionOptions } from '@tessera/inference';
import { type Tensor, TesseraError } from '@tessera/protocol';
import { inCalls } from './call-groups.js';
import { requireCut } from './expert-cut.js';
import type { ExpertProvider, ExpertWork } from './expert-provider.js';
import { HostCache, type HostCacheOptions } from './host-cache.js';
import type { ModelExecutor } from './model-executor.js';
import { batchInputs } from './step-inputs.js';
import { computedRows } from './step-outputs.js';
import type { ComputedRow, PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';

/** A part of the model between two layers' experts, loaded. */
interface Section {
  readonly session: Session;
  readonly inputs: ReadonlySet<string>;
  /** Whose attention it has. */
  readonly layers: readonly number[];
}

/**
 * Loads the sections of a model.
 * @throws TesseraError CONFIG_INVALID where the bundle was not compiled so
 */
export async function createMoeExecutor(
  bundle: Bundle,
  options: SessionOptions,
  experts: ExpertProvider,
  size: HostCacheOptions,
): Promise<MoeExecutor> {
  const cut = requireCut(bundle);
  const sessions: Session[] = [];
  for (const file of cut.sections) sessions.push(await createSession(bundle.file(file), options));
  return new MoeExecutor(sessions, { ...bundle.manifest.llm, experts: cut }, experts, size);
}

/** How long a step in which nothing could be computed waits for experts before the next one is tried. */
const pauseMs = 20;

/**
 * The model in sections, whose experts somebody else computes. Inputs and outputs: @tessera/compiler,
 * stages/cut-causal-lm.ts.
 *
 * A row that needs an expert which nobody has at the moment is void from there on: it takes part in attention still, since
 * a batch's slots must lie side by side, but asks no expert and leaves nothing behind. The other rows go on.
 */
export class MoeExecutor implements ModelExecutor {
  readonly #sections: readonly Section[];
  readonly #model: LlmSection;
  readonly #cut: ExpertCut;
  readonly #experts: ExpertProvider;
  readonly #cache: HostCache;

  /**
   * @param sessions the sections, in their order
   * @param model with `experts`
   */
  constructor(
    sessions: readonly Session[],
    model: LlmSection & { readonly experts: ExpertCut },
    experts: ExpertProvider,
    options: HostCacheOptions,
  ) {
    this.#sections = sessions.map((session) => ({
      session,
      inputs: new Set(session.inputNames),
      layers: session.outputNames.flatMap((name) => (name.startsWith('new_key.') ? [Number(name.split('.')[1])] : [])),
    }));
    this.#model = model;
    this.#cut = model.experts;
    this.#experts = experts;
    this.#cache = new HostCache(model, options);
  }

  get vocabSize(): number {
    return this.#model.vocabSize;
  }

  get hiddenSize(): number {
    return this.#model.hiddenSize;
  }

  get cacheBytes(): ModelExecutor['cacheBytes'] {
    return this.#cache.bytes;
  }

  get positionBytes(): number {
    return this.#cache.positionBytes;
  }

  slotBytesFor(slots: number, positions: number): number {
    return this.#cache.slotBytesFor(slots, positions);
  }

  async execute({ cache, rows }: StepPlan): Promise<StepResult> {
    const noMemory = await this.#cache.prepare(cache);
    if (noMemory !== undefined) return noMemory;
    this.#experts.beginStep();
    const results = await inCalls(rows, false, (group) => this.#compute(group));
    this.#experts.endStep();
    if (results.length > 0 && results.every((result) => 'unavailable' in result)) await this.#experts.changed(pauseMs);
    return { rows: results };
  }

  async release(): Promise<void> {
    await Promise.all([...this.#sections.map(({ session }) => session.release()), this.#experts.release()]);
  }

  async #compute(rows: readonly PlannedRow[]): Promise<RowResult[]> {
    const inputs: Record<string, Tensor> = batchInputs(rows, this.#model.hiddenSize);
    const seq = inputs.input_ids?.shape[1] as number;
    const voids: (TesseraError | undefined)[] = rows.map(() => undefined);
    let outputs: Record<string, Tensor> = {};
    for (const [at, section] of this.#sections.entries()) {
      outputs = await this.#run(section, inputs, rows);
      const kept = rows.map((row, index) => (voids[index] === undefined ? row : undefined));
      for (const layer of section.layers) this.#cache.append(layer, kept, seq, outputs);
      const routed = this.#cut.layers[at];
      if (routed === undefined) break;
      inputs.input_hidden = await this.#throughExperts(routed.layer, outputs, rows, voids);
      if (voids.every((reason) => reason !== undefined)) break;
    }
    // Where all rows are void, the last section has not run.
    const computed = outputs.logits === undefined ? [] : computedRows(outputs, rows, { seq, ...this.#model });
    return rows.map((_, index) => {
      const unavailable = voids[index];
      return unavailable === undefined ? (computed[index] as ComputedRow) : { unavailable };
    });
  }

  async #run(
    { session, inputs, layers }: Section,
    given: Readonly<Record<string, Tensor>>,
    rows: readonly PlannedRow[],
  ): Promise<Record<string, Tensor>> {
    const feeds: Record<string, Tensor> = {};
    for (const [name, value] of Object.entries(given)) if (inputs.has(name)) feeds[name] = value;
    const fetches: string[] = [];
    for (const layer of layers) {
      Object.assign(feeds, this.#cache.past(layer, rows));
      fetches.push(`new_key.${layer}`, `new_value.${layer}`);
    }
    if (!session.outputNames.includes('logits')) fetches.push('residual', 'rows', 'experts', 'shares');
    else fetches.push('logits', ...(rows.some(({ wantsHidden }) => wantsHidden) ? ['hidden'] : []));
    return session.run(feeds, fetches);
  }

  /**
   * The next section's hidden states: the residual and, to each row that is not void, its experts' answers by their shares,
   * in the order of the experts' numbers and in float32, as the whole graph sums them. Rows that become void are noted.
   */
  async #throughExperts(
    layer: number,
    outputs: Readonly<Record<string, Tensor>>,
    rows: readonly PlannedRow[],
    voids: (TesseraError | undefined)[],
  ): Promise<Tensor> {
    const { hiddenSize } = this.#model;
    const residual = outputs.residual as Tensor & { readonly data: Float32Array };
    const chosen = outputs.experts?.data as Int32Array;
    const shares = outputs.shares?.data as Float32Array;
    const seq = residual.shape[1] as number;
    const { work, places } = this.#sort(chosen, rows, seq, voids);
    const given = outputs.rows?.data as Float32Array;
    const answers = work.length === 0 ? [] : await this.#experts.compute(layer, given, work);
    for (const [index, answer] of answers.entries()) {
      if (!('unavailable' in answer)) continue;
      for (const row of work[index]?.rows ?? []) voids[Math.floor(row / seq)] ??= answer.unavailable;
    }
    const hidden = new Float32Array(residual.data.length);
    for (const [index, { rows: mine }] of work.entries()) {
      const answer = answers[index];
      if (answer === undefined || 'unavailable' in answer) continue;
      for (const [at, row] of mine.entries()) {
        const share = shares[places[index]?.[at] as number] as number;
        const [from, to] = [at * hiddenSize, row * hiddenSize];
        // Both operations are rounded to float32, the sum by being stored.
        for (let i = 0; i < hiddenSize; i++) {
          hidden[to + i] = (hidden[to + i] as number) + Math.fround(share * (answer.answers[from + i] as number));
        }
      }
    }
    for (let i = 0; i < hidden.length; i++) hidden[i] = (hidden[i] as number) + (residual.data[i] as number);
    return { dtype: 'float32', shape: residual.shape, data: hidden };
  }

  /** Rows by expert, and where each stands among the choices; without padding and without void rows. */
  #sort(
    chosen: Int32Array,
    rows: readonly PlannedRow[],
    seq: number,
    voids: readonly (TesseraError | undefined)[],
  ): { readonly work: readonly ExpertWork[]; readonly places: readonly (readonly number[])[] } {
    const { perLayer, chosen: k } = this.#cut;
    const sorted = Array.from({ length: perLayer }, () => ({ rows: [] as number[], places: [] as number[] }));
    for (const [index, { tokenIds }] of rows.entries()) {
      if (voids[index] !== undefined) continue;
      for (let row = index * seq; row < index * seq + tokenIds.length; row++) {
        for (let place = row * k; place < (row + 1) * k; place++) {
          const expert = sorted[chosen[place] as number];
          if (expert === undefined) throw new TesseraError('INTERNAL', `a router chose expert ${chosen[place]}`);
          expert.rows.push(row);
          expert.places.push(place);
        }
      }
    }
    const wanted = [...sorted.entries()].filter(([, { rows: mine }]) => mine.length > 0);
    return {
      work: wanted.map(([expert, { rows: mine }]) => ({ expert, rows: mine })),
      places: wanted.map(([, { places }]) => places),
    };
  }
}
