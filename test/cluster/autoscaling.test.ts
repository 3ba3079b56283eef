import { connect } from '@tessera/client';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
/** Bursts of pictures, one after the other, in which both stages are to have grown. */
const mostRounds = 40;

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

type Replicas = Record<'encoder' | 'generator' | 'connector' | 'llm' | 'gateway', number>;

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

const idle = { encoder: 0, connector: 1, llm: 1, generator: 0, gateway: 1 };

/** The most that each stage was to have while the work lasted, which may ask for it, and what came of the work. */
async function whileIt<Result>(work: (most: (stage: keyof Replicas) => number) => Promise<Result>) {
  const seen: Replicas[] = [];
  let isDone = false;
  const watch = (async () => {
    while (!isDone) {
      seen.push(await replicas());
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  })();
  const most = (stage: keyof Replicas): number => Math.max(0, ...seen.map((each) => each[stage]));
  const result = await work(most).finally(() => {
    isDone = true;
  });
  await watch;
  return { result, most };
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
  // A machine that is quick would have answered them before anybody looks twice: they come again until both have grown.
  const { result, most } = await whileIt(async (most) => {
    const wrong: unknown[] = [];
    for (let round = 0; round < mostRounds && !(most('encoder') === 2 && most('generator') === 2); round++) {
      wrong.push(
        ...(await Promise.all(cases.map((golden) => asker.ask(golden)))).filter((fault) => fault !== undefined),
      );
    }
    return wrong;
  });
  expect(result).toEqual([]);
  expect({ encoder: most('encoder'), generator: most('generator') }).toEqual({ encoder: 2, generator: 2 });
  expect({ llm: most('llm'), connector: most('connector'), gateway: most('gateway') }).toEqual({
    llm: 1,
    connector: 1,
    gateway: 1,
  });
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
            ...{ temperature: 10, seed: BigInt(seed), minTokens: 1500, maxTokens: 1500 },
            logitBias: { [drawingToken]: -100 },
          },
        },
        { timeoutMs: 600_000 },
      )
      .answer();
  const { result, most } = await whileIt(() => Promise.all(Array.from({ length: 4 * burst }, (_, seed) => long(seed))));
  expect(result.map(({ usage }) => usage.outputTokens)).toEqual(result.map(() => 1500));
  expect(most('llm')).toBe(2);
  expect({ encoder: most('encoder'), generator: most('generator') }).toEqual({ encoder: 0, generator: 0 });
  await expect.poll(replicas).toEqual(idle);
});
