import { randomUUID } from 'node:crypto';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { linkedAbort } from '@tessera/flow';
import { maxBytesOf } from '@tessera/protocol';
import { Bus } from '../bus.js';
import type { BusLimits, BusOptions } from '../bus-options.js';

const mib = 1024 * 1024;

/** Streams small enough that many prefixes fit one server. */
export const smallStreams: Partial<BusLimits> = { maxBytes: maxBytesOf(() => 16 * mib), maxTombstoneBytes: mib };

/** A bus whose streams exist and are small, on a prefix of its own unless told otherwise. The caller closes it. */
export async function testBus(url: string, options: Partial<BusOptions> = {}): Promise<Bus> {
  const bus = await Bus.connect({
    url,
    prefix: newId('t'),
    revision: 'r1',
    name: 'test',
    ...options,
    limits: { ...smallStreams, ...options.limits },
  });
  await bus.setup();
  return bus;
}

/** Closes what a test opened, the last first. */
export class Cleanup {
  private readonly tasks: (() => Promise<void> | void)[] = [];

  add(task: () => Promise<void> | void): void {
    this.tasks.push(task);
  }

  async run(): Promise<void> {
    for (const task of this.tasks.splice(0).reverse()) await task();
  }

  /** A signal that aborts at the end of the test. */
  signal(): AbortSignal {
    const stop = linkedAbort();
    this.add(() => stop.abort());
    return stop.signal;
  }

  /** JetStream of a server as its clients manage it, for what no bus does; closed at the end of the test. */
  async manager(url: string): Promise<JetStreamManager> {
    const nc = await connect({ servers: url });
    this.add(() => nc.close());
    return jetstreamManager(nc);
  }

  /** As `testBus`; closed at the end of the test, and its streams removed: a file of many tests would fill the server. */
  async bus(url: string, options: Partial<BusOptions> = {}): Promise<Bus> {
    const { prefix = newId('t') } = options;
    this.add(() => removeStreams(url, prefix));
    const bus = await testBus(url, { ...options, prefix });
    this.add(() => bus.close());
    return bus;
  }
}

/** Of a server that is still there. */
async function removeStreams(url: string, prefix: string): Promise<void> {
  const nc = await connect({ servers: url, reconnect: false }).catch(() => undefined);
  if (nc === undefined) return;
  try {
    const manager = await jetstreamManager(nc);
    for await (const name of manager.streams.names(`${prefix}.>`)) await manager.streams.delete(name);
  } finally {
    await nc.close();
  }
}

export function newId(prefix = 'req'): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}
