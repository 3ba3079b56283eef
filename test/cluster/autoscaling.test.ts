import { connect } from '@tessera/client';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stages } from './support/charts.js';
import { DemoRelease } from './support/demo-release.js';
import { GoldenAsker } from './support/golden-asker.js';

/** KEDA looks often and lets go soon, so that nobody waits for the pauses of a large cluster. */
const hasty = { pollingInterval: 2, cooldownPeriod: 10 };
const behavior = {
  scaleUp: { policies: [{ type: 'Pods', value: 4, periodSeconds: 1 }] },
  scaleDown: { stabilizationWindowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 1 }] },
};
const onQueue = { type: 'keda', maxReplicas: 2, behavior, keda: { ...hasty, lagThreshold: 4 } };
const prometheus = { serverAddress: 'http://10.99.0.1:9090' };
const onWaiting = { type: 'keda', maxReplicas: 2, behavior, keda: { ...hasty, waiting: 4, kvUsage: null, prometheus } };

/** As many as run at once in an engine: no one waits for a slot of it. */
const burst = 16;
/** `<|gen_start|>` of the demo model's tokenizer. */
const drawingToken = 2038;
/** Bursts, one after the other, in which what they concern is to have grown: a machine that is quick has done one before anybody looks twice. */
const mostRounds = 40;
/** Of one long text. */
const tokens = 500;

let release: DemoRelease;
beforeAll(async () => {
  release = await DemoRelease.install('autoscaling', {
    values: {
      encoder: { autoscaling: onQueue },
      generator: { autoscaling: onQueue },
      llm: { autoscaling: onWaiting, config: { engine: { maxRunning: burst } } },
    },
  });
});
afterAll(async () => {
  await release?.[Symbol.asyncDispose]();
});

type Replicas = Record<(typeof stages)[number], number>;

/** What each stage is to have at this moment. */
async function replicas(): Promise<Replicas> {
  const workloads = await release.namespace.objects(
    'deployments,statefulsets',
    '--selector=app.kubernetes.io/part-of=tessera',
  );
  return Object.fromEntries(
    workloads.map(({ metadata, spec }) => [metadata.name.replace('tessera-', ''), spec?.replicas ?? 1]),
  ) as Replicas;
}

const idle: Replicas = { encoder: 0, connector: 1, llm: 1, generator: 0, gateway: 1 };

/**
 * Burst after burst, until one of them has taken each of these stages to two replicas.
 * @returns what came of all of them, and the most that each stage was to have meanwhile
 */
async function grow<Result>(grown: readonly (keyof Replicas)[], burst: () => Promise<readonly Result[]>) {
  const most = { ...idle };
  let isDone = false;
  const watch = (async () => {
    while (!isDone) {
      const now = await replicas();
      for (const stage of stages) most[stage] = Math.max(most[stage], now[stage]);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  })();
  const results: Result[] = [];
  try {
    for (let round = 0; round < mostRounds && !grown.every((stage) => most[stage] === 2); round++) {
      results.push(...(await burst()));
    }
  } finally {
    isDone = true;
    await watch;
  }
  return { results, most };
}

test('a burst of pictures takes encoder and generator from zero to two and back to zero; nothing else moves', async () => {
  await expect.poll(replicas).toEqual(idle);
  using asker = await GoldenAsker.create(release.gateway);
  await expect.poll(replicas).toEqual(idle);
  const pictures = goldenCases.filter(({ image }) => image !== null);
  const drawings = goldenCases.filter(({ answer }) => answer.includes('<|gen_start|>'));
  const cases = Array.from({ length: burst }, (_, at) => {
    const kind = at % 2 === 0 ? pictures : drawings;
    return kind[(at >> 1) % kind.length] as (typeof goldenCases)[number];
  });
  const { results, most } = await grow(['encoder', 'generator'], () =>
    Promise.all(cases.map((golden) => asker.ask(golden))),
  );
  expect(results.filter((fault) => fault !== undefined)).toEqual([]);
  expect(most).toEqual({ ...idle, encoder: 2, generator: 2 });
  await expect.poll(replicas).toEqual(idle);
});

test('a burst of long texts takes the engine to two and back to one; nothing else moves', async () => {
  await expect.poll(replicas).toEqual(idle);
  using client = connect(release.gateway);
  const long = (seed: number) =>
    client
      .chat(
        {
          messages: [{ role: 'user', content: 'Hello!' }],
          // Words at random, and none that has a drawing made.
          text: {
            ...{ temperature: 10, seed: BigInt(seed), minTokens: tokens, maxTokens: tokens },
            logitBias: { [drawingToken]: -100 },
          },
        },
        { timeoutMs: 600_000 },
      )
      .answer();
  const { results, most } = await grow(['llm'], () =>
    Promise.all(Array.from({ length: 4 * burst }, (_, at) => long(at))),
  );
  expect(results.map(({ usage }) => usage.outputTokens)).toEqual(results.map(() => tokens));
  expect(most).toEqual({ ...idle, llm: 2 });
  await expect.poll(replicas).toEqual(idle);
});
