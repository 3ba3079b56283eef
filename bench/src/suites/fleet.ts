import { Bus } from '@tessera/bus';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import type { DirectoryCalls } from '../processes/directory-main.js';
import type { FleetCalls, Waits } from '../processes/fleet-main.js';
import { Helper } from '../processes/helper.js';
import { processorMs, residentBytes } from '../processes/processor-time.js';
import type { WatcherCalls } from '../processes/watcher-main.js';
import type { Cell, Section } from '../report.js';
import { summarise } from '../statistics.js';
import type { Suite, SuiteContext } from './suite.js';

const prefix = 'tessera';
const revision = 'bench';
/** Processes among which the fleet is divided. */
const processes = 4;
const perConnection = 10;
const slots = 8;
const gateways = 2;
const jobsPerTile = 2;
/** Tiles a second. */
const rates = [50, 250];
/** Together as long as the server holds a pull request: each is renewed once meanwhile. */
const idleMs = 30_000;
const listenMs = 30_000;
const loadMs = 10_000;
const giveUpMs = 60_000;
const mebibyte = 1024 * 1024;

/** What processes used over a while, per cent of one core. */
class Usage {
  private readonly startedAt = performance.now();
  private readonly before: readonly number[];

  constructor(private readonly pids: readonly number[]) {
    this.before = pids.map(processorMs);
  }

  percent(): number[] {
    const passedMs = performance.now() - this.startedAt;
    return this.pids.map((pid, at) => ((processorMs(pid) - (this.before[at] ?? 0)) / passedMs) * 100);
  }
}

/** A part of the whole for each process; the first ones get what is left over. */
function shareOf(count: number, process: number): number {
  return Math.floor((count + processes - 1 - process) / processes);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function together(all: readonly Waits[]): Waits {
  return {
    encode: all.flatMap(({ encode }) => encode),
    connect: all.flatMap(({ connect }) => connect),
    whole: all.flatMap(({ whole }) => whole),
    sent: all.reduce((sum, { sent }) => sum + sent, 0),
    missing: all.reduce((sum, { missing }) => sum + missing, 0),
  };
}

/** Those who take part. */
interface Subject {
  readonly nats: NatsServer;
  readonly members: readonly Helper<FleetCalls>[];
  readonly directory: Helper<DirectoryCalls>;
  readonly watcher: Helper<WatcherCalls>;
}

interface Size {
  readonly engines: number;
  readonly stages: number;
}

/** @returns rows about the start */
async function start({ nats, members, directory, watcher }: Subject, { engines, stages }: Size): Promise<Cell[][]> {
  const bus = { url: nats.url, prefix, revision };
  const first = await Bus.connect({ ...bus, name: 'bench' });
  await first.setup();
  await first.close();
  await watcher.call('open', nats.url);
  await directory.call('start', { bus, gateways });
  const emptyBytes = residentBytes(nats.pid);
  const startedAt = performance.now();
  const usage = new Usage([nats.pid]);
  // As a deployment of a vision model may have them: most of the work is the encoders'.
  const encoders = Math.round(stages * 0.6);
  const connectors = Math.round(stages * 0.3);
  const generators = stages - encoders - connectors;
  await Promise.all(
    members.map((member, at) =>
      member.call('start', {
        bus,
        engines: shareOf(engines, at),
        encoders: shareOf(encoders, at),
        connectors: shareOf(connectors, at),
        generators: shareOf(generators, at),
        perConnection,
        slots,
      }),
    ),
  );
  const giveUpAt = performance.now() + giveUpMs;
  while ((await directory.call('known')) < engines && performance.now() < giveUpAt) await sleep(100);
  const seconds = (performance.now() - startedAt) / 1000;
  const [serverPercent = 0] = usage.percent();
  const { requests } = await watcher.call('heard');
  const asked = [...requests].reduce((sum, [name, count]) => (name === 'CONSUMER.MSG.NEXT' ? sum : sum + count), 0);
  return [
    ['until all work and are known to the gateways, s', seconds],
    ['nats-server meanwhile, s of processor time', (seconds * serverPercent) / 100],
    ['requests to JetStream meanwhile, but for pulls', asked],
    ['nats-server, MiB resident before', emptyBytes / mebibyte],
  ];
}

/** @returns rows about a fleet that nobody asks for anything */
async function idle(
  { nats, members, directory, watcher }: Subject,
  { engines, stages }: Size,
  say: SuiteContext['say'],
) {
  say(`fleet: idle for ${(idleMs + listenMs) / 1000} s`);
  await watcher.call('heard');
  const usage = new Usage([nats.pid, directory.pid, ...members.map(({ pid }) => pid)]);
  await sleep(idleMs);
  const [server = 0, directories = 0, ...shares] = usage.percent();
  const memory = residentBytes(nats.pid);
  const known = await directory.call('known');
  await watcher.call('listen', { name: 'fleet', forMs: listenMs });
  const { requests, heartbeats } = await watcher.call('heard');
  const perSecond = (count: number): number => count / ((idleMs + listenMs) / 1000);
  const pulls = requests.get('CONSUMER.MSG.NEXT') ?? 0;
  const others = [...requests.values()].reduce((sum, count) => sum + count, 0) - pulls;
  const fleet = shares.reduce((sum, percent) => sum + percent, 0);
  return [
    ['nats-server, % of a core', server],
    ['nats-server, MiB resident', memory / mebibyte],
    ['pull requests a second', perSecond(pulls)],
    ['signs of life to waiting pull requests, a second', heartbeats / (listenMs / 1000)],
    ['other requests to JetStream, a second', perSecond(others)],
    ['engines that each gateway knows', known],
    ['a gateway for its directory of engines, % of a core', directories / gateways],
    ['an engine or stage, % of a core', fleet / (engines + stages)],
  ] satisfies Cell[][];
}

/** @returns one row about a fleet that is asked for so many tiles a second */
async function load({ nats, members }: Subject, tilesPerSecond: number): Promise<Cell[]> {
  const usage = new Usage([nats.pid, ...members.map(({ pid }) => pid)]);
  const share = { tilesPerSecond: tilesPerSecond / members.length, forMs: loadMs };
  const waits = together(await Promise.all(members.map((member) => member.call('load', share))));
  const [server = 0, ...shares] = usage.percent();
  const encode = summarise(waits.encode);
  const connect = summarise(waits.connect);
  const whole = summarise(waits.whole);
  return [
    tilesPerSecond * jobsPerTile,
    waits.sent,
    waits.missing,
    encode.median,
    encode.p99,
    connect.median,
    connect.p99,
    whole.median,
    whole.p99,
    server,
    shares.reduce((sum, percent) => sum + percent, 0),
    residentBytes(nats.pid) / mebibyte,
  ];
}

/** What a large deployment costs its NATS server, and what it costs a job to find one of very many workers. */
export const fleet: Suite = {
  name: 'fleet',
  about: 'a thousand engines and five thousand stages on one nats-server: idle, and at 100 and 500 jobs a second',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const size = { engines: times(1000), stages: times(5000) };
    using directory = new Helper<DirectoryCalls>('directory');
    using watcher = new Helper<WatcherCalls>('watcher');
    const members = Array.from({ length: processes }, () => new Helper<FleetCalls>('fleet'));
    const nats = await startNatsServer();
    const subject: Subject = { nats, members, directory, watcher };
    try {
      say(`fleet: starting ${size.engines} engines and ${size.stages} stages`);
      const started = await start(subject, size);
      const waited = await idle(subject, size, say);
      const loads: Cell[][] = [];
      for (const rate of rates) {
        say(`fleet: ${rate} tiles a second for ${loadMs / 1000} s`);
        loads.push(await load(subject, rate));
      }
      const connections = Math.ceil((size.engines + size.stages) / perConnection);
      return [
        {
          title: `A fleet of ${size.engines} engines and ${size.stages} stages, idle`,
          notes: [
            `Simulated in ${processes} processes: each engine has an inbox consumer of its own and announces itself every half second, each`,
            `stage is a worker with ${slots} slots (six of ten encoders, three connectors, one a generator), and ${perConnection} of them share one of`,
            `${connections} connections. What that leaves out: nine of ten connections, with their pings, and everything but the bus.`,
          ],
          columns: [{ title: 'measured' }, { title: 'value', digits: 3 }],
          rows: [...started, ...waited],
        },
        {
          title: 'The same fleet at work',
          notes: [
            `Tiles asked for at random moments, ${loadMs / 1000} s each rate: an encode job of 4 KiB, a connect job with its features (18 KB), tokens`,
            "to the engine (4.6 KB); the work itself is a sleep. Milliseconds: encode from the job's publication to its handler, connect",
            'from where NATS stored it to its handler, whole from the publication to the engine, but for the work. All share this machine.',
          ],
          columns: [
            { title: 'jobs/s' },
            { title: 'sent' },
            { title: 'missing' },
            { title: 'encode p50', digits: 1 },
            { title: 'p99', digits: 1 },
            { title: 'connect p50', digits: 1 },
            { title: 'p99', digits: 1 },
            { title: 'whole p50', digits: 1 },
            { title: 'p99', digits: 1 },
            { title: 'nats-server, %' },
            { title: 'fleet, %' },
            { title: 'nats-server, MiB' },
          ],
          rows: loads,
        },
      ];
    } finally {
      for (const member of members) member[Symbol.dispose]();
      await nats.stop();
    }
  },
};
