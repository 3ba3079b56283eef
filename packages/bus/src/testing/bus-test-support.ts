import { randomUUID } from 'node:crypto';
import {
  type EncodeJob,
  type Float32Tensor,
  type JobKey,
  Modality,
  type StageWork,
  tensor,
  visualTokens,
} from '@tessera/protocol';
import { Bus, type DeliveryOptions } from '../bus.js';
import type { BusLimits, BusOptions } from '../bus-options.js';

/** What the tests of the bus share. */
const mib = 1024 * 1024;

/** Streams small enough that many prefixes fit one server. */
export const smallStreams: Partial<BusLimits> = {
  maxBytes: {
    encode: 16 * mib,
    connect: 16 * mib,
    generate: 8 * mib,
    visual_tokens: 16 * mib,
    drawings: 16 * mib,
    parts: 16 * mib,
    uploads: 16 * mib,
  },
  maxTombstoneBytes: mib,
};

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
    const controller = new AbortController();
    this.add(() => controller.abort());
    return controller.signal;
  }

  /** A bus whose streams exist, on a prefix of its own unless told otherwise. */
  async bus(url: string, options: Partial<BusOptions> = {}): Promise<Bus> {
    const bus = await Bus.connect({
      url,
      prefix: newId('t'),
      revision: 'r1',
      name: 'test',
      ...options,
      limits: { ...smallStreams, ...options.limits },
    });
    this.add(() => bus.close());
    await bus.setup();
    return bus;
  }
}

export function newId(prefix = 'req'): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}

export function jobKey(requestId: string, attempt = 1, item = 0): JobKey {
  return { requestId, attempt, item };
}

/** [rows, width] whose values name their place; all are exact in float16. */
export function counted(rows: number, width: number, offset = 0): Float32Tensor {
  const data = Float32Array.from({ length: rows * width }, (_, index) => (index + offset) % 2048);
  return tensor('float32', [rows, width], data);
}

export function inAMinute(): number {
  return Date.now() + 60_000;
}

/** The address of a process that is not there: what is sent to it lies on its stream. */
export const nobody = '0-nobodywaits';

/** To be published within a minute, for nobody. */
export function toNobody(): { deadlineMs: number; deliverTo: string } {
  return { deadlineMs: inAMinute(), deliverTo: nobody };
}

/** Sends a tile's visual tokens. */
export function sendTokens(
  bus: Bus,
  key: JobKey,
  tile: number,
  tokens: Float32Tensor,
  { timings = [], ...to }: DeliveryOptions & { readonly timings?: StageWork[] },
): Promise<void> {
  return bus.send(visualTokens, { key, tile, tensor: tokens, timings }, to);
}

/** Polls until the check holds. The limit only ends what hangs. */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = Date.now() + 120_000;
  while (!(await check())) {
    if (Date.now() > giveUpAt) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The first items of a stream, which is left then. */
export async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

/** An encode job whose media rides in the message; nothing decodes it. */
export function encodeJob(requestId: string, firstTile = 0, bytes = 3): EncodeJob {
  const value = new Uint8Array(bytes).fill(7);
  return {
    key: jobKey(requestId),
    media: { place: { $case: 'inline', value }, digest: 'd', size: BigInt(bytes) },
    modality: Modality.IMAGE,
    size: undefined,
    firstTile,
    tileCount: 4,
  };
}

export function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
