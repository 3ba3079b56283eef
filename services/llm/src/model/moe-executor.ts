import type { Bundle, ExpertCut, LlmSection } from '@tessera/bundle';
import { type BoundSession, type BoundSessionOptions, createBoundSession } from '@tessera/inference';
import { type Float32Tensor, type Tensor, TesseraError } from '@tessera/protocol';
import { inCalls } from './call-groups.js';
import type { ExpertProvider, ExpertWork } from './expert-provider.js';
import { HostCache, type HostCacheOptions } from './host-cache.js';
import { HostCachedExecutor } from './host-cached-executor.js';
import { cachedLayers, ModelPart } from './model-part.js';
import { type Int32Tensor, OutputBuffers } from './output-buffers.js';
import { SteadyTensors } from './steady-tensors.js';
import { batchInputs } from './step-inputs.js';
import { computedRows } from './step-outputs.js';
import type { ComputedRow, PlannedRow, RowResult, StepPlan, StepResult } from './step-plan.js';

/**
 * Loads the sections of a model whose experts are cut out.
 * @throws TesseraError CHECKPOINT_INVALID, CONFIG_INVALID as createBoundSession
 */
export async function openSections(
  bundle: Bundle,
  { sections }: ExpertCut,
  options: BoundSessionOptions,
): Promise<BoundSession[]> {
  const sessions: BoundSession[] = [];
  for (const file of sections) sessions.push(await createBoundSession(bundle.file(file), options));
  return sessions;
}

/** What a section that routes gives. */
interface Routed {
  /** float32 [batch, seq, hidden]. */
  readonly residual: Float32Tensor;
  /** float32 [batch, seq, hidden]. */
  readonly rows: Float32Tensor;
  /** float32 [batch * seq, chosen]. */
  readonly shares: Float32Tensor;
  /** int32 [batch * seq, chosen]. */
  readonly experts: Int32Tensor;
}

/** How long a step in which nothing could be computed waits for experts before the next one is tried. */
const pauseMs = 20;

/**
 * The model in sections, whose experts somebody else computes. Inputs and outputs: @tessera/compiler,
 * stages/cut-causal-lm.ts.
 *
 * A row that needs an expert which nobody has at the moment is void from there on: it takes part in attention still, since
 * a batch's slots must lie side by side, but asks no expert, and what it adds to the cache lies behind what its slot holds, where
 * the same row done again writes. The other rows go on.
 */
export class MoeExecutor extends HostCachedExecutor {
  readonly #sections: readonly ModelPart[];
  readonly #cut: ExpertCut;
  readonly #experts: ExpertProvider;
  readonly #inputs = new SteadyTensors();
  /** For what the step gives. */
  readonly #results = new OutputBuffers();
  /** For what passes from one section to the next. */
  readonly #between = new OutputBuffers();

  /**
   * @param sessions the sections, in their order, all of one backend
   * @param model with `experts`
   */
  constructor(
    sessions: readonly BoundSession[],
    model: LlmSection & { readonly experts: ExpertCut },
    experts: ExpertProvider,
    options: HostCacheOptions,
  ) {
    super(model, new HostCache(model, sessions.flatMap(cachedLayers), options));
    this.#cut = model.experts;
    this.#experts = experts;
    this.#sections = sessions.map((session) => new ModelPart(session, this.cache));
  }

  async execute({ cache, rows }: StepPlan): Promise<StepResult> {
    const noMemory = await this.cache.prepare(cache, () => this.#unbind());
    if (noMemory !== undefined) return noMemory;
    this.#results.begin();
    this.#experts.beginStep();
    const beginsInPlace = this.#sections.some((section) => section.beginsInPlace);
    const results = await inCalls(rows, beginsInPlace, (group) => this.#compute(group));
    this.#experts.endStep();
    if (results.length > 0 && results.every((result) => 'unavailable' in result)) await this.#experts.changed(pauseMs);
    return { rows: results };
  }

  async release(): Promise<void> {
    await Promise.all([...this.#sections.map((section) => section.release()), this.#experts.release()]);
  }

  async #unbind(): Promise<void> {
    await Promise.all(this.#sections.map((section) => section.unbind()));
  }

  async #compute(rows: readonly PlannedRow[]): Promise<RowResult[]> {
    const { vocabSize, hiddenSize } = this.model;
    const inputs: Record<string, Tensor> = this.#inputs.take(batchInputs(rows, hiddenSize));
    const seq = rows.reduce((longest, { tokenIds }) => Math.max(longest, tokenIds.length), 0);
    const call = { rows, seq };
    const voids: (TesseraError | undefined)[] = rows.map(() => undefined);
    const outputs: Record<string, Float32Tensor> = {};
    for (const [at, section] of this.#sections.entries()) {
      const layer = this.#cut.layers[at]?.layer;
      if (layer === undefined) {
        const wantedLogits = rows.reduce((sum, row) => sum + row.wantedLogits, 0);
        outputs.logits = this.#results.next([wantedLogits, vocabSize]);
        if (rows.some(({ wantsHidden }) => wantsHidden)) {
          outputs.hidden = this.#results.next([rows.length, seq, hiddenSize]);
        }
        await section.run(call, inputs, outputs);
        break;
      }
      const routed = this.#routed(rows.length, seq);
      await section.run(call, inputs, { ...routed });
      inputs.input_hidden = await this.#throughExperts(layer, routed, rows, voids);
      if (voids.every((reason) => reason !== undefined)) break;
    }
    // Where all rows are void, the last section has not run.
    const computed = outputs.logits === undefined ? [] : computedRows(outputs, rows, { seq, ...this.model });
    return rows.map((_, index) => {
      const unavailable = voids[index];
      return unavailable === undefined ? (computed[index] as ComputedRow) : { unavailable };
    });
  }

  /** Memory for what a section gives; that of the section before is used anew, but for the hidden states. */
  #routed(batch: number, seq: number): Routed {
    const { hiddenSize } = this.model;
    const { chosen } = this.#cut;
    this.#between.begin();
    return {
      residual: this.#between.next([batch, seq, hiddenSize]),
      rows: this.#between.next([batch, seq, hiddenSize]),
      shares: this.#between.next([batch * seq, chosen]),
      experts: this.#between.nextInt32([batch * seq, chosen]),
    };
  }

  /**
   * The next section's hidden states: the residual and, to each row that is not void, its experts' answers by their shares,
   * in the order of the experts' numbers and in float32, as the whole graph sums them. Rows that become void are noted.
   */
  async #throughExperts(
    layer: number,
    { residual, rows: given, shares, experts }: Routed,
    rows: readonly PlannedRow[],
    voids: (TesseraError | undefined)[],
  ): Promise<Float32Tensor> {
    const { hiddenSize } = this.model;
    const seq = residual.shape[1] as number;
    const { work, places } = this.#sort(experts.data, rows, seq, voids);
    const answers = work.length === 0 ? [] : await this.#experts.compute(layer, given.data, work);
    for (const [index, answer] of answers.entries()) {
      if (!('unavailable' in answer)) continue;
      for (const row of work[index]?.rows ?? []) voids[Math.floor(row / seq)] ??= answer.unavailable;
    }
    const next = this.#between.next(residual.shape);
    const hidden = next.data.fill(0);
    for (const [index, { rows: mine }] of work.entries()) {
      const answer = answers[index];
      if (answer === undefined || 'unavailable' in answer) continue;
      for (const [at, row] of mine.entries()) {
        const share = shares.data[places[index]?.[at] as number] as number;
        const [from, to] = [at * hiddenSize, row * hiddenSize];
        // Both operations are rounded to float32, the sum by being stored.
        for (let i = 0; i < hiddenSize; i++) {
          hidden[to + i] = (hidden[to + i] as number) + Math.fround(share * (answer.answers[from + i] as number));
        }
      }
    }
    for (let i = 0; i < hidden.length; i++) hidden[i] = (hidden[i] as number) + (residual.data[i] as number);
    return next;
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
