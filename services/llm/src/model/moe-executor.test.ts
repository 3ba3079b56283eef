import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { createBoundSession, type InferenceBackend, type SessionOptions } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { beforeAll, expect, test } from 'vitest';
import { engineCoreOptions } from '../engine/create-engine-core.js';
import { ExpertSessions } from '../experts/expert-sessions.js';
import { DemoEngine, testLimits, user } from '../testing/demo-engine.js';
import { LocalExperts } from '../testing/local-experts.js';
import { requireCut } from './expert-cut.js';
import type { ExpertProvider } from './expert-provider.js';
import { MoeExecutor, openSections } from './moe-executor.js';
import { OnnxExecutor } from './onnx-executor.js';
import type { ComputedRow, PlannedRow, StepPlan, StepResult } from './step-plan.js';

const cpu: SessionOptions = { threads: 1, device: 'cpu' };
const size = { slots: testLimits.maxRunning, maxPositions: 512 };
let bundle: Bundle;

beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
});

/** All experts here, but for those that are away just now. */
class Experts extends LocalExperts {
  readonly away = new Set<string>();

  override async compute(...[layer, rows, work]: Parameters<ExpertProvider['compute']>) {
    const answers = await super.compute(layer, rows, work);
    const unavailable = new TesseraError('STAGE_UNAVAILABLE', 'nobody holds it');
    return answers.map((answer, at) => (this.away.has(`${layer}.${work[at]?.expert}`) ? { unavailable } : answer));
  }
}

async function moe(backend: InferenceBackend = 'native'): Promise<{ executor: MoeExecutor; experts: Experts }> {
  const { llm } = bundle.manifest;
  const cut = requireCut(bundle);
  const sessions = new ExpertSessions(bundle, cpu);
  for (const { layer, experts } of cut.layers) {
    for (const expert of experts.keys()) await sessions.load({ layer, expert });
  }
  const experts = new Experts(sessions, llm.hiddenSize);
  const sections = await openSections(bundle, cut, { ...cpu, backend });
  return { executor: new MoeExecutor(sections, { ...llm, experts: cut }, experts, size), experts };
}

async function whole(backend: InferenceBackend = 'native'): Promise<OnnxExecutor> {
  const { llm } = bundle.manifest;
  return new OnnxExecutor(await createBoundSession(bundle.file(llm.graph), { ...cpu, backend }), llm, size);
}

const row = (slot: number, position: number, tokenIds: readonly number[], wantedLogits = 1): PlannedRow => {
  return { slot, position, tokenIds, media: [], wantedLogits, wantsHidden: true };
};

const plan = (rows: readonly PlannedRow[], positions = 64): StepPlan => ({
  cache: { operations: [], slots: 8, positions, loads: [] },
  rows,
});

const prompts = goldenCases.filter(({ image }) => image === null).map(({ input_ids }) => input_ids);

function numbers(result: StepResult): ComputedRow[] {
  if (!('rows' in result)) throw result;
  return result.rows.map((each) => {
    if (!('logits' in each)) throw 'error' in each ? each.error : each.unavailable;
    return { logits: each.logits.slice(), hidden: each.hidden.slice() };
  });
}

/**
 * Prompts of several lengths together, chunks over a past, and single tokens side by side; logits at several positions; the
 * cache grows between them.
 */
const steps: StepPlan[] = [
  plan(prompts.slice(0, 3).map((ids, slot) => row(slot, 0, ids))),
  plan([row(3, 0, (prompts[3] as number[]).slice(0, 4)), row(0, prompts[0]?.length ?? 0, [17])]),
  plan([row(3, 4, (prompts[3] as number[]).slice(4)), row(1, prompts[1]?.length ?? 0, [9])], 100),
  plan(
    [0, 1, 2].map((slot) => row(slot, (prompts[slot]?.length ?? 0) + (slot === 2 ? 0 : 1), [5 + slot])),
    100,
  ),
  plan([row(4, 0, prompts[0] as number[], 2), row(5, 0, prompts[1] as number[]), row(3, 7, [1, 2, 3, 4], 3)], 100),
];

test.each(['native', 'node'] as const)('gives what the whole graph gives, bit for bit: %s', async (backend) => {
  const { executor } = await moe(backend);
  const reference = await whole(backend);
  for (const step of steps) {
    expect(numbers(await executor.execute(step))).toEqual(numbers(await reference.execute(step)));
  }
  expect(executor.cacheBytes).toEqual(reference.cacheBytes);
  await executor.release();
  await reference.release();
});

test('a row whose expert is away is void, the others go on, and done again it gives what it would have given', async () => {
  const { executor, experts } = await moe();
  const reference = await whole();
  const [first, second] = [prompts[0], prompts[1]] as [number[], number[]];
  const begin = plan([row(0, 0, first), row(1, 0, second)]);
  const decode = plan([row(0, first.length, [3]), row(1, second.length, [600])]);
  /** Takes the last layer's experts away one after the other: until some row needs one that the other does not. */
  const voids = async (step: StepPlan): Promise<number> => {
    const expected = numbers(await reference.execute(step));
    expect(numbers(await executor.execute(step))).toEqual(expected);
    let seen = 0;
    for (let expert = 0; expert < 8; expert++) {
      experts.away.add(`4.${expert}`);
      const result = await executor.execute(step);
      experts.away.clear();
      if (!('rows' in result)) throw result;
      for (const [at, each] of result.rows.entries()) {
        if ('unavailable' in each) {
          expect(each.unavailable.message).toBe('nobody holds it');
          seen++;
        } else {
          expect(each).toEqual(expected[at]);
        }
      }
    }
    expect(numbers(await executor.execute(step))).toEqual(expected);
    return seen;
  };
  // Whichever of its positions needs one.
  expect(await voids(begin)).toBeGreaterThan(4);
  // Two rows, each with two of the layer's experts.
  expect(await voids(decode)).toBe(4);
  await executor.release();
  await reference.release();
});

test('goldens through it, all at once; and one that waits for an expert until its deadline says so', async () => {
  const { executor, experts } = await moe();
  const options = await engineCoreOptions({ modelDir: bundle.dir, session: cpu, limits: testLimits });
  await options.executor.release();
  const demo = await DemoEngine.of(bundle, { ...options, executor });
  const answers = await Promise.all(goldenCases.map((golden) => demo.start(golden)));
  for (const [at, { id, output_ids }] of goldenCases.entries()) {
    expect(answers[at]?.error, id).toBeUndefined();
    expect(answers[at]?.tokenIds, id).toEqual(output_ids);
  }
  for (let expert = 0; expert < 8; expert++) experts.away.add(`2.${expert}`);
  const late = demo.engine.submit(demo.request([user('Hello!')], { deadlineMs: Date.now() + 300 }));
  const failure = await (async () => {
    for await (const _ of late);
  })().catch((reason: unknown) => reason);
  expect(failure).toMatchObject({ code: 'DEADLINE_EXCEEDED', message: expect.stringContaining('nobody holds it') });
  experts.away.clear();
  const [golden] = goldenCases;
  if (golden !== undefined) expect((await demo.start(golden)).tokenIds).toEqual(golden.output_ids);
  await demo.close();
});
