import { Bus } from '@tessera/bus';
import { startNatsServer } from '@tessera/nats-server';
import {
  decodeTensor,
  defaultStreamLimits,
  encodeTensor,
  Subjects,
  tensor,
  VisualTokenRows,
  visualTokens,
} from '@tessera/protocol';
import type { ConnectorCalls, Sent } from '../processes/connector-main.js';
import { Helper } from '../processes/helper.js';
import {
  chunkBytes,
  chunksPerPicture,
  pictureBytes,
  tileBytes,
  tileShape,
  tilesPerPicture,
} from '../processes/picture-shape.js';
import { processorMs } from '../processes/processor-time.js';
import type { WatcherCalls } from '../processes/watcher-main.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { PictureWays } from '../subjects/picture-ways.js';
import type { Suite, SuiteContext } from './suite.js';

const prefix = 'tessera';
const revision = 'bench';
const rounds = 4;
const sampleEveryMs = 50;
/** A slow engine stands still after each picture, so many times as long as a picture takes on its way. */
const slowness = 3;
const slowestMs = 3000;
const megabyte = 1e6;
const mebibyte = 1024 * 1024;
const conversions = 5;

/** One way, over all rounds. */
interface Way {
  readonly name: string;
  run(pictures: number): Promise<unknown>;
  readonly rates: number[];
  /** Processor time, milliseconds: connector, nats-server, engine. */
  readonly usedMs: [number, number, number];
}

/** What was seen at the stream of tokens while pictures went over it. */
interface Held {
  readonly pictures: number;
  /** Of each look at the stream. */
  readonly bytes: readonly number[];
  readonly stored: number;
  readonly received: number;
  readonly dropped: number;
  readonly sent: Sent;
  readonly requests: ReadonlyMap<string, number>;
}

/** Processor time, milliseconds, that it takes to read one picture's tokens from messages. */
function readMs(): number {
  const rows = chunkBytes / (tileBytes / tileShape[0]);
  const part = tensor('float32', [rows, tileShape[1]], new Float32Array(rows * tileShape[1]).fill(1));
  const key = { requestId: 'r', attempt: 1, item: 0 };
  const rowsMessage = encodeTensor(part, 'float16');
  const payload = VisualTokenRows.encode({ key, tile: 0, part: 0, parts: 1, rows: rowsMessage, timings: [] }).finish();
  const times = Array.from({ length: conversions }, () => {
    const before = process.cpuUsage();
    for (let n = 0; n < chunksPerPicture; n++) decodeTensor(VisualTokenRows.decode(payload).rows);
    return process.cpuUsage(before).user / 1000;
  });
  return median(times);
}

/** Stands still for so long, as a process does whose thread computes. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Looks at the stream of tokens while pictures go over it. */
async function watched(
  watcher: Helper<WatcherCalls>,
  counted: { received: number; dropped: number },
  pictures: number,
  run: (pictures: number) => Promise<Sent>,
): Promise<Held> {
  const before = { ...counted };
  await watcher.call('heard');
  await watcher.call('sample', {
    stream: new Subjects(prefix, revision).shard(visualTokens, 0),
    everyMs: sampleEveryMs,
  });
  const sent = await run(pictures);
  const samples = await watcher.call('samples');
  const { requests } = await watcher.call('heard');
  return {
    pictures,
    bytes: samples.map(({ bytes }) => bytes),
    stored: (samples.at(-1)?.lastSequence ?? 0) - (samples[0]?.lastSequence ?? 0),
    received: counted.received - before.received,
    dropped: counted.dropped - before.dropped,
    sent,
    requests,
  };
}

/** One after another, as if it had been one. */
function joined(all: readonly Held[]): Held {
  const sum = (of: (held: Held) => number): number => all.reduce((total, held) => total + of(held), 0);
  const requests = new Map<string, number>();
  for (const held of all) {
    for (const [name, count] of held.requests) requests.set(name, (requests.get(name) ?? 0) + count);
  }
  return {
    pictures: sum(({ pictures }) => pictures),
    bytes: all.flatMap(({ bytes }) => bytes),
    stored: sum(({ stored }) => stored),
    received: sum(({ received }) => received),
    dropped: sum(({ dropped }) => dropped),
    sent: {
      messages: sum(({ sent }) => sent.messages),
      full: sum(({ sent }) => sent.full),
      waitedMs: sum(({ sent }) => sent.waitedMs),
    },
    requests,
  };
}

function waysSection(ways: readonly Way[], pictures: number, convertMs: number): Section {
  const [bus] = ways;
  const rate = ({ rates }: Way): number => median(rates);
  const all = pictures * rounds;
  return {
    title: 'The bus at the size of a 7B model',
    notes: [
      `${all} pictures of ${tilesPerPicture} tiles of [${tileShape.join(', ')}], ${(pictureBytes / megabyte).toFixed(1)} MB each as float16, from one connector's process to one engine's, in`,
      `${rounds} rounds in which the ways take turns; MB/s is the median of the rounds, processor time is of all. Messages of 512 KiB, 16 in`,
      'flight on the bus. "Without tensors": the same bytes as parts of drawings, so nothing is turned into float16 and back;',
      `that alone takes ${convertMs.toFixed(0)} ms of the connector's processor time and ${readMs().toFixed(0)} ms of the engine's for each picture. gRPC streams bytes as they are.`,
    ],
    columns: [
      { title: 'way' },
      { title: 'MB/s' },
      { title: 'slowest round' },
      { title: 'fastest' },
      { title: 'bus / this', digits: 2 },
      { title: 'connector, ms a picture' },
      { title: 'NATS' },
      { title: 'engine' },
    ],
    rows: ways.map((way) => [
      way.name,
      rate(way),
      Math.min(...way.rates),
      Math.max(...way.rates),
      rate(bus as Way) / rate(way),
      ...way.usedMs.map((ms, at) => (at === 1 && !way.name.startsWith('bus') ? undefined : ms / all)),
    ]),
  };
}

function heldSection(cases: readonly [string, Held][], slowMs: number): Section {
  const limit = defaultStreamLimits.maxBytes.visual_tokens;
  const row = (what: string, of: (held: Held) => Cell): Cell[] => [what, ...cases.map(([, held]) => of(held))];
  const count = (what: string, of: (held: Held) => number): Cell[] => row(what, (held) => String(of(held)));
  const requestsOf = (held: Held, names: RegExp): number =>
    [...held.requests].reduce((sum, [name, count]) => (names.test(name) ? sum + count : sum), 0);
  return {
    title: 'What lies on the stream of visual tokens',
    notes: [
      `Looked at every ${sampleEveryMs} ms by a third process, during the way through the bus above and for an engine that stands still for`,
      `${slowMs.toFixed(0)} ms after each picture. The stream's limit is ${limit / mebibyte} MiB, the default. Requests to JetStream are counted by listening to`,
      '$JS.API.>; publications and acknowledgements are not among them.',
    ],
    columns: [{ title: 'measured' }, ...cases.map(([title]) => ({ title, digits: 1 }))],
    rows: [
      count('pictures', ({ pictures }) => pictures),
      row('bytes held, median, MiB', ({ bytes }) => median(bytes) / mebibyte),
      row('bytes held, most, MiB', ({ bytes }) => Math.max(...bytes) / mebibyte),
      row('of the limit, most, %', ({ bytes }) => (Math.max(...bytes) / limit) * 100),
      count('messages that found the stream full', ({ sent }) => sent.full),
      row('they waited, all together, s', ({ sent }) => sent.waitedMs / 1000),
      count('messages published', ({ sent }) => sent.messages),
      count('messages stored', ({ stored }) => stored),
      count('messages received', ({ received }) => received),
      count('dropped as duplicate or stale', ({ dropped }) => dropped),
      count('consumers made', (held) => requestsOf(held, /^CONSUMER\.(DURABLE\.)?CREATE/)),
      count('purges', (held) => requestsOf(held, /^STREAM\.PURGE/)),
      row('pull requests a picture', (held) => requestsOf(held, /^CONSUMER\.MSG\.NEXT$/) / held.pictures),
      count('other requests to JetStream', (held) => requestsOf(held, /^(?!CONSUMER\.MSG\.NEXT$)/)),
    ],
  };
}

/** What carries visual tokens, and what that costs beside the least that could carry them. */
export const bus: Suite = {
  name: 'bus',
  about: 'the visual tokens of a 7B model over the bus, against TCP and gRPC; what lies on the stream meanwhile',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const nats = await startNatsServer();
    using connector = new Helper<ConnectorCalls>('connector');
    using watcher = new Helper<WatcherCalls>('watcher');
    const counted = { received: 0, dropped: 0 };
    const engine = await Bus.connect({
      url: nats.url,
      prefix,
      revision,
      name: 'bench engine',
      limits: { maxTensorBytes: tileBytes },
      observer: { received: () => counted.received++, dropped: () => counted.dropped++ },
    });
    try {
      const ports = await connector.call('open', { url: nats.url, prefix, revision });
      await watcher.call('open', nats.url);
      const path = await PictureWays.open(engine, connector, ports);
      const pictures = Math.ceil(times(200) / rounds);
      const held: Held[] = [];
      const way = (name: string, run: (count: number) => Promise<unknown>): Way => ({
        name,
        run,
        rates: [],
        usedMs: [0, 0, 0],
      });
      const ways = [
        way('bus', async (count) => held.push(await watched(watcher, counted, count, (n) => path.throughBus(n)))),
        way('bus, without tensors', (count) => path.throughBusAsBytes(count)),
        way('gRPC server stream', (count) => path.overGrpc(count)),
        way('TCP', (count) => path.overTcp(count)),
      ];
      const convertMs = await connector.call('convert');
      await path.throughBus(tilesPerPicture);
      for (let round = 1; round <= rounds; round++) {
        say(`bus: round ${round} of ${rounds}, ${pictures} pictures each way`);
        for (const { run, rates, usedMs } of ways) {
          const pids = [connector.pid, nats.pid, process.pid];
          const before = pids.map(processorMs);
          const startedAt = performance.now();
          await run(pictures);
          rates.push((pictures * pictureBytes) / megabyte / ((performance.now() - startedAt) / 1000));
          pids.forEach((pid, at) => {
            usedMs[at] = (usedMs[at] ?? 0) + processorMs(pid) - (before[at] ?? 0);
          });
        }
      }
      const fewer = times(50);
      const slowMs = Math.min(slowestMs, slowness * (pictureBytes / megabyte / median(ways[0]?.rates ?? [])) * 1000);
      say(`bus: a slow engine, ${fewer} pictures`);
      const slow = await watched(watcher, counted, fewer, (n) => path.throughBus(n, () => block(slowMs)));
      return [
        waysSection(ways, pictures, convertMs),
        heldSection(
          [
            ['an engine that only receives', joined(held)],
            ['a slow engine', slow],
          ],
          slowMs,
        ),
      ];
    } finally {
      await engine.close();
      await nats.stop();
    }
  },
};
