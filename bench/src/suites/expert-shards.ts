import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bundle } from '@tessera/bundle';
import { ChildService } from '@tessera/cli';
import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { type EngineConfig, Llm } from '@tessera/llm';
import { startNatsServer } from '@tessera/nats-server';
import type { EchoCalls } from '../processes/echo-main.js';
import { Helper } from '../processes/helper.js';
import type { Section } from '../report.js';
import { median, summarise } from '../statistics.js';
import { benchLimits } from '../subjects/local-pipeline.js';
import { overGrpc, overTcp, toExpert } from '../subjects/round-trips.js';
import { stepMs } from '../subjects/writing-engine.js';
import type { Suite, SuiteContext } from './suite.js';

const batches = [1, 8];
const answerTokens = 200;
const groups = { even: [0, 2, 4, 6], odd: [1, 3, 5, 7] };

/** A bundle's experts, half of them in each of two processes. */
async function startShards(bundle: Bundle) {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-bench-'));
  const placementFile = join(folder, 'placement.json');
  const blocks = Object.entries(groups).map(([group, experts]) => [group, [{ layers: 'all', experts }]]);
  const placement = { revision: bundle.manifest.revision, epoch: 1, groups: Object.fromEntries(blocks) };
  await writeFile(placementFile, JSON.stringify(placement));
  const nats = await startNatsServer();
  const main = fileURLToPath(new URL('./main.js', import.meta.resolve('@tessera/llm')));
  const shards = await Promise.all(
    Object.keys(groups).map(async (group) => {
      const flags = ['--role', 'experts', '--model-dir', bundle.dir, '--nats-url', nats.url];
      const own = ['--experts-placement-file', placementFile, '--experts-group', group];
      const service = new ChildService('llm', main, [...flags, ...own], () => undefined);
      const { grpc } = await service.start();
      return { service, shard: { shardId: group, group, address: grpc } };
    }),
  );
  return {
    placementFile,
    shards: shards.map(({ shard }) => shard),
    async [Symbol.asyncDispose]() {
      for (const { service } of shards) await service.stop(10_000);
      await nats.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const callRows = 8;
const callsInTurn = 100;

/** Calls of a shard one after the other, and the same bytes without any work, in turn. */
async function callSection(bundle: Bundle, address: string, rounds: number): Promise<Section> {
  const { revision, llm } = bundle.manifest;
  const bytes = callRows * llm.hiddenSize * 4;
  const layer = llm.experts?.layers[0]?.layer ?? 0;
  const work = { revision, layer, expert: groups.even[0] as number, rows: callRows, width: llm.hiddenSize };
  using echo = new Helper<EchoCalls>('echo');
  using tcp = await overTcp(await echo.call('tcp'), bytes);
  using grpc = overGrpc(await echo.call('grpc'), bytes);
  using shard = await toExpert(address, work);
  const ways = { 'the bytes over TCP, and back': tcp, 'over a stream of grpc-js alone': grpc, 'to a shard': shard };
  const rows: (number | string)[][] = [];
  const taken = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  for (let round = -2; round < rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      for (let call = 0; call < callsInTurn; call++) {
        const startedMs = performance.now();
        await way.once();
        if (round >= 0) taken.get(name)?.push(performance.now() - startedMs);
      }
    }
  }
  for (const [name, ms] of taken) {
    const { median: p50, p90, p99 } = summarise(ms);
    rows.push([name, p50, p90, p99]);
  }
  return {
    title: `A call of ${callRows} rows to one expert`,
    notes: [`One after the other, ${callsInTurn} of each way in turn, ${rounds} rounds; ${bytes} bytes of rows.`],
    columns: [
      { title: '' },
      { title: 'p50, ms', digits: 3 },
      { title: 'p90, ms', digits: 3 },
      { title: 'p99, ms', digits: 3 },
    ],
    rows,
  };
}

/** What it costs to have a model's experts in other processes. */
export const expertShards: Suite = {
  name: 'experts',
  about: 'a decode step whose experts are in two shards against one process, and a call of a shard',
  async run({ times, say }: SuiteContext) {
    const rounds = times(5);
    const bundle = await demoBundle('float32', 'experts');
    await using placed = await startShards(bundle);
    const calls: number[] = [];
    const base: EngineConfig = { modelDir: bundle.dir, session: { threads: 1, device: 'cpu' }, limits: benchLimits };
    const tls = {
      caFile: undefined,
      certFile: undefined,
      keyFile: undefined,
      serverName: undefined,
      refreshMs: 60_000,
    };
    const { placementFile } = placed;
    const whole = await Llm.inThread(base);
    const cut = await Llm.inThread(
      {
        ...base,
        experts: { placementFile, rowType: 'float32', callTimeoutMs: 5000, hedge: true, maxMessageBytes: 4 << 20, tls },
      },
      { onExperts: ({ callSeconds }) => calls.push(...callSeconds) },
    );
    cut.engine.setShards(placed.shards);
    try {
      const rows: (number | string)[][] = [];
      for (const batch of batches) {
        say(`experts: ${batch} at once, ${rounds} rounds`);
        const [one, sharded]: [number[], number[]] = [[], []];
        for (const llm of [whole, cut]) await stepMs(llm, batch, answerTokens);
        calls.length = 0;
        for (let round = 0; round < rounds; round++) {
          one.push(await stepMs(whole, batch, answerTokens));
          sharded.push(await stepMs(cut, batch, answerTokens));
        }
        const [a, b] = [median(one), median(sharded)];
        const { median: p50, p99 } = summarise(calls);
        rows.push([batch, a, b, b / a, p50 * 1000, p99 * 1000]);
      }
      return [
        {
          title: 'Experts in two shards',
          notes: [
            `Steps of sequences of ${answerTokens} tokens, float32, one thread a process; ${rounds} alternating rounds, medians of the`,
            'mean step of a round. A call carries as many rows as the batch has sequences, on average.',
          ],
          columns: [
            { title: 'batch' },
            { title: 'one process, ms', digits: 2 },
            { title: 'two shards, ms', digits: 2 },
            { title: 'ratio', digits: 2 },
            { title: 'call p50, ms', digits: 3 },
            { title: 'call p99, ms', digits: 3 },
          ],
          rows,
        },
        await callSection(bundle, placed.shards[0]?.address ?? '', times(40)),
      ];
    } finally {
      await whole.close();
      await cut.close();
    }
  },
};
