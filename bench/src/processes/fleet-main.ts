import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Bus, type BusOptions, type JobContext, type ProductInbox, type ReceivedTensor } from '@tessera/bus';
import {
  connectQueue,
  EngineStatus,
  encodeQueue,
  type Float32Tensor,
  generateQueue,
  Modality,
  tensor,
  visualTokens,
} from '@tessera/protocol';
import { answerCalls } from './answer-calls.js';

export interface FleetShare {
  readonly bus: Pick<BusOptions, 'url' | 'prefix' | 'revision'>;
  readonly engines: number;
  readonly encoders: number;
  readonly connectors: number;
  readonly generators: number;
  /** How many of them share one connection to NATS. */
  readonly perConnection: number;
  readonly slots: number;
}

export interface Load {
  readonly tilesPerSecond: number;
  readonly forMs: number;
}

/** Milliseconds, one number for each tile. */
export interface Waits {
  /** From the publication of an encode job until its handler runs. */
  readonly encode: readonly number[];
  /** From the moment that NATS stored a connect job until its handler runs. */
  readonly connect: readonly number[];
  /** From the publication of the encode job until its engine has the tile's tokens, but for the work. */
  readonly whole: readonly number[];
  readonly sent: number;
  /** Tiles that did not come in time. */
  readonly missing: number;
}

/** What a stage "computes" for one tile: it sleeps. */
const encodeMs = 20;
const connectMs = 5;
const lastTileMs = 10_000;
const announceMs = 500;
/** As the demo model has them. */
const features = tensor('float32', [36, 256], new Float32Array(36 * 256).fill(1));
const tokens: Float32Tensor = tensor('float32', [9, 256], new Float32Array(9 * 256).fill(1));

const inboxes: ProductInbox<ReceivedTensor>[] = [];
let gateway: Bus | undefined;
let waits: { encode: number[]; connect: number[] } = { encode: [], connect: [] };
const fleetName = 'fleet';
const never = new AbortController().signal;
// Every member of the fleet listens.
setMaxListeners(0, never);

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The clock of all processes of this machine, milliseconds. */
function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T;
}

async function startEngine(bus: Bus): Promise<void> {
  const inbox = await bus.openInbox(visualTokens);
  inboxes.push(inbox);
  const status = EngineStatus.fromPartial({
    engineId: randomUUID(),
    address: '127.0.0.1:1',
    maxRunning: 16,
    maxWaiting: 64,
    contextTokens: 4096,
    inbox: inbox.address,
  });
  // Processes of a fleet do not speak in step.
  setTimeout(() => bus.announce(() => status, never), Math.random() * announceMs);
}

function startEncoder(bus: Bus, slots: number): void {
  void bus.work(encodeQueue, {
    slots,
    signal: never,
    async handler(job, { signal, deadlineMs, deliverTo }: JobContext) {
      waits.encode.push(clockMs() - Number(job.media?.digest));
      await sleep(encodeMs);
      const { key, firstTile: tile } = job;
      if (key === undefined) throw new Error('a job without a key');
      const to = { deadlineMs, signal, deliverTo };
      const reference = await bus.storeTensor(key, tile, features, to);
      await bus.publish(connectQueue, { key, tile, features: reference, encoder: undefined }, to);
    },
  });
}

function startConnector(bus: Bus, slots: number): void {
  void bus.work(connectQueue, {
    slots,
    signal: never,
    async handler({ key, tile }, { signal, deadlineMs, deliverTo, queueMs }: JobContext) {
      if (key === undefined) throw new Error('a job without a key');
      waits.connect.push(queueMs);
      await sleep(connectMs);
      await bus.send(visualTokens, { key, tile, tensor: tokens, timings: [] }, { deadlineMs, signal, deliverTo });
    },
  });
}

function startGenerator(bus: Bus, slots: number): void {
  void bus.work(generateQueue, { slots, signal: never, handler: async () => {} });
}

/** Groups share a connection; the groups of one kind are connected one after the other. */
async function inGroups(share: FleetShare, count: number, start: (bus: Bus) => Promise<void> | void): Promise<void> {
  for (let first = 0; first < count; first += share.perConnection) {
    const bus = await Bus.connect({ ...share.bus, name: fleetName });
    const members = Math.min(share.perConnection, count - first);
    await Promise.all(Array.from({ length: members }, () => start(bus)));
  }
}

/** One tile for one engine of this process, as a gateway has it made. @returns how long it took, but for the work */
async function ask(): Promise<number> {
  if (gateway === undefined) throw new Error('there is no gateway');
  const inbox = pick(inboxes);
  const requestId = `load-${randomUUID()}`;
  const deadlineMs = Date.now() + lastTileMs;
  const startedAt = clockMs();
  const arrived = inbox.receive(requestId, AbortSignal.timeout(lastTileMs));
  await gateway.publish(
    encodeQueue,
    {
      key: { requestId, attempt: 1, item: 0 },
      media: { place: { $case: 'inline', value: new Uint8Array(4096) }, digest: String(startedAt), size: 4096n },
      modality: Modality.IMAGE,
      size: undefined,
      firstTile: 0,
      tileCount: 1,
    },
    { deadlineMs, deliverTo: inbox.address },
  );
  for await (const news of arrived) {
    if (news.kind === 'failure') break;
    return clockMs() - startedAt - encodeMs - connectMs;
  }
  return Number.NaN;
}

/** A share of a fleet, with every bus, worker, inbox and announcement of its members; only the members' work is a sleep. */
const calls = {
  /** Resolves when all are connected and pull. */
  async start(share: FleetShare): Promise<void> {
    gateway = await Bus.connect({ ...share.bus, name: 'bench gateway' });
    await inGroups(share, share.engines, startEngine);
    await inGroups(share, share.encoders, (bus) => startEncoder(bus, share.slots));
    await inGroups(share, share.connectors, (bus) => startConnector(bus, share.slots));
    await inGroups(share, share.generators, (bus) => startGenerator(bus, share.slots));
  },

  /** Asks for tiles at a rate, at random moments, whatever the answers take. */
  async load({ tilesPerSecond, forMs }: Load): Promise<Waits> {
    waits = { encode: [], connect: [] };
    const tiles: Promise<number>[] = [];
    const endAt = performance.now() + forMs;
    for (let next = performance.now(); next < endAt; next += (-Math.log(1 - Math.random()) / tilesPerSecond) * 1000) {
      const early = next - performance.now();
      if (early > 0) await sleep(early);
      // One that is refused, or too late, is missing like one that never comes.
      tiles.push(ask().catch(() => Number.NaN));
    }
    const whole = await Promise.all(tiles);
    return {
      ...waits,
      whole: whole.filter((ms) => !Number.isNaN(ms)),
      sent: whole.length,
      missing: whole.filter((ms) => Number.isNaN(ms)).length,
    };
  },
};

export type FleetCalls = typeof calls;

answerCalls(calls);
