import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type ServiceName, serviceNames } from '@tessera/cli';
import { eventually } from '@tessera/testing/async/eventually';
import { type GoldenCase, goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { expect } from 'vitest';
import { ask } from './ask.js';
import type { Deployment } from './deployment.js';

/** Gauges that count what requests in flight hold; without requests each is 0. */
const heldGauges: readonly (readonly [ServiceName, string])[] = [
  ['gateway', 'tessera_gateway_requests'],
  ['gateway', 'tessera_gateway_media_bytes'],
  ['llm', 'tessera_requests_running'],
  ['llm', 'tessera_requests_waiting'],
  ['llm', 'tessera_kv_cache_usage_ratio'],
  ['encoder', 'tessera_jobs_running'],
  ['connector', 'tessera_jobs_running'],
  ['generator', 'tessera_jobs_running'],
  ...serviceNames.map((service) => [service, 'tessera_grpc_requests_running'] as const),
];

/** The process of each service. */
export function pids(deployment: Deployment): Map<ServiceName, number> {
  return new Map(serviceNames.map((name) => [name, deployment.pid(name)]));
}

/** What requests in flight still hold, in words; empty when nothing. */
async function held(deployment: Deployment): Promise<string[]> {
  const gauges = await Promise.all(
    heldGauges.map(async ([service, name]) => {
      const value = await deployment.metric(service, name);
      return value === 0 ? [] : [`${service} ${name} is ${value}`];
    }),
  );
  return [...gauges.flat(), ...(await messagesAndReaders(deployment.natsUrl))];
}

/** The consumers that there may be: each queue's, and one for each process that receives products. */
const standing = /^(workers|\d+-[0-9a-f]{16})$/;

/** What the streams hold besides tombstones, signs of life and uploads, and readers that came with a request. */
async function messagesAndReaders(natsUrl: string): Promise<string[]> {
  const nats = await connect({ servers: natsUrl });
  try {
    const manager = await jetstreamManager(nats);
    const found: string[] = [];
    for await (const { config, state } of manager.streams.list()) {
      const { name } = config;
      if (/_(cancelled|revisions|uploads_\d+)$/.test(name)) continue;
      if (state.messages > 0) found.push(`${name} holds ${state.messages} messages`);
      for await (const consumer of manager.consumers.list(name)) {
        if (!standing.test(consumer.name)) found.push(`${name} has the reader ${consumer.name}`);
      }
    }
    return found;
  } finally {
    await nats.close();
  }
}

/** Waits until requests hold nothing any more, in any process and on NATS. */
export async function atRest(deployment: Deployment): Promise<void> {
  let left: string[] = [];
  await eventually(async () => {
    left = await held(deployment);
    if (left.length > 0) throw new Error(left.join('; '));
    return true;
  }, 'every gauge at 0, every stream empty');
}

let nextGolden = 0;

/** The next of the reference questions, so that a row of tests goes through all of them. */
function someGolden(): GoldenCase {
  return goldenCases[nextGolden++ % goldenCases.length] as GoldenCase;
}

/** Asks a reference question and expects its exact answer. */
export async function answersRight(gateway: string): Promise<void> {
  const golden = someGolden();
  const picture = picturesOf(golden);
  const answer = await ask(gateway, [{ says: [...picture, golden.question] }], { draw: { steps: 2 } });
  expect(answer.text).toBe(visibleAnswer(golden));
}

/**
 * Does something to a deployment, then holds it to the promise of every error: each service is the process that it was
 * and is well, nothing is held any more, and the next request gets its right answer.
 */
export async function leavesNoTrace<T>(deployment: Deployment, something: () => Promise<T>): Promise<T> {
  const before = pids(deployment);
  const result = await something();
  await atRest(deployment);
  await answersRight(deployment.gateway);
  await atRest(deployment);
  expect(pids(deployment)).toEqual(before);
  for (const service of serviceNames) {
    for (const path of ['healthz', 'readyz']) {
      const { status } = await fetch(`http://${deployment.stack.address(service)?.metrics}/${path}`);
      expect(`${service} ${path} ${status}`).toBe(`${service} ${path} 200`);
    }
  }
  return result;
}
