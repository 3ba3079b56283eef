import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { GenerateRequest } from '@tessera/protocol';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { expect, test } from 'vitest';
import type { RowResult } from '../model/step-plan.js';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import { asked, collect, testLimits, user } from '../testing/demo-engine.js';
import { isDecode, withExecute } from '../testing/with-execute.js';
import { engineCoreOptions } from './create-engine-core.js';
import { engineRequest } from './engine-request.js';
import { LlmEngine } from './llm-engine.js';

/** The real model, some of whose decode steps fail: what no input can be made to do. */
async function engineThatFails(failsAt: (step: number) => boolean) {
  const modelDir = await demoBundleDir();
  const options = await engineCoreOptions({ modelDir, session: { threads: 1, device: 'cpu' }, limits: testLimits });
  let step = 0;
  const executor = withExecute(options.executor, async (plan) => {
    const rows = plan.rows.filter(isDecode);
    if (rows.length === 0 || !failsAt(step++)) return await options.executor.execute(plan);
    const error = new Error('the device is out of memory');
    const others = plan.rows.filter((row) => !isDecode(row));
    const result = await options.executor.execute({ ...plan, rows: others });
    if (!('rows' in result)) return result;
    return {
      rows: plan.rows.map((row) => (isDecode(row) ? { error } : (result.rows[others.indexOf(row)] as RowResult))),
    };
  });
  const bundle = await readBundle(modelDir);
  const builder = await loadPromptBuilder(bundle);
  const failures: unknown[] = [];
  const engine = new LlmEngine({ ...options, executor, onStepFailed: (error) => failures.push(error) });
  let nextId = 0;
  const ask = () => {
    const request = GenerateRequest.fromPartial({
      requestId: `failing-${nextId++}`,
      attempt: 1,
      prompt: asked(user('Hello!')),
    });
    return collect(engine.submit(engineRequest(request, builder, bundle.manifest, Date.now() + 60_000)));
  };
  return { engine, ask, failures };
}

const free = { running: 0, waiting: 0, slotsInUse: 0, heldTiles: 0 };

test('a step that fails ends its sequences, and the engine goes on', async () => {
  const { engine, ask, failures } = await engineThatFails((step) => step === 2);
  const [one, two] = await Promise.all([ask(), ask()]);
  for (const answer of [one, two]) expect(answer?.error).toMatchObject({ code: 'INTERNAL' });
  expect(failures).toHaveLength(1);
  expect(engine.stats()).toMatchObject(free);
  expect((await ask()).tokenIds).toEqual(goldenCase('text.0').output_ids);
  await engine.close();
});

test('failures count only in a row: those of a long life do not end the engine', async () => {
  let broken = true;
  const { engine, ask, failures } = await engineThatFails(() => broken);
  for (let round = 0; round < 3; round++) {
    broken = true;
    for (let n = 0; n < 2; n++) expect((await ask()).error).toMatchObject({ code: 'INTERNAL' });
    broken = false;
    expect((await ask()).error).toBeUndefined();
  }
  expect(failures).toHaveLength(6);
  await engine.close();
});

test('an engine that fails again and again ends, with an error that another engine can make good', async () => {
  const { engine, ask } = await engineThatFails(() => true);
  expect((await ask()).error).toMatchObject({ code: 'INTERNAL' });
  expect((await ask()).error).toMatchObject({ code: 'INTERNAL' });
  await ask();
  await expect(engine.done).rejects.toThrow('out of memory');
  expect((await ask()).error).toMatchObject({ code: 'DRAINING' });
  expect(engine.stats()).toMatchObject(free);
});
