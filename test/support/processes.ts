import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { ServiceName } from '@tessera/cli';
import type { JobKind } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import type { Deployment } from './deployment.js';

/** What a deployment's processes meet: each is signalled by its own id. */

export function signal(deployment: Deployment, service: ServiceName, name: NodeJS.Signals): void {
  process.kill(deployment.pid(service), name);
}

/** Ends a service without a word and waits until its successor is ready. */
export async function killAndAwaitRestart(deployment: Deployment, service: ServiceName): Promise<void> {
  const pid = deployment.pid(service);
  process.kill(pid, 'SIGKILL');
  await awaitRestart(deployment, service, pid);
}

export async function awaitRestart(deployment: Deployment, service: ServiceName, pid: number): Promise<void> {
  await eventually(() => deployment.pid(service) !== pid, `${service} is started again`);
}

/**
 * Waits until so many jobs of a queue are not done: those that a worker has taken, and those that wait. (Which of them a
 * worker has that is stopped depends on how many it had asked for.)
 */
export async function jobsUndone(deployment: Deployment, kind: JobKind, count: number): Promise<void> {
  const nats = await connect({ servers: deployment.natsUrl });
  try {
    const manager = await jetstreamManager(nats);
    await eventually(async () => {
      let undone = 0;
      for await (const queue of manager.streams.names(`tessera.*.${kind}.>`)) {
        for await (const { num_ack_pending, num_pending } of manager.consumers.list(queue)) {
          undone += num_ack_pending + num_pending;
        }
      }
      return undone >= count;
    }, `${count} ${kind} jobs`);
  } finally {
    await nats.close();
  }
}
