import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import type { TesseraError } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExpertsConfig } from '../engine/engine-config.js';
import { oneThread, startTestShard, type TestShard } from '../testing/expert-shards.js';
import type { MissingExperts } from './missing-experts.js';
import { openExperts } from './open-experts.js';

let bundle: Bundle;
let ca: TestAuthority;
let other: TestAuthority;
let placementFile: string;
let shard: TestShard;

beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  [ca, other] = await Promise.all([TestAuthority.create(), TestAuthority.create()]);
  const groups = { a: [{ layers: 'all', experts: 'all' }] };
  const placement = { revision: bundle.manifest.revision, epoch: 1, groups };
  placementFile = await ca.file('placement.json', JSON.stringify(placement));
  const { certFile, keyFile } = await ca.issue('shard');
  // The settings that every service has.
  const mutual = { 'grpc.certFile': certFile, 'grpc.keyFile': keyFile, 'grpc.clientCaFile': ca.caFile };
  shard = await startTestShard(bundle, placement, 'a', undefined, mutual);
});

afterAll(async () => {
  await shard?.stop();
  await Promise.all([ca?.[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()]);
});

/** The experts of an engine that shows and trusts what these files hold. */
async function engine(tls: Partial<ExpertsConfig['tls']>) {
  const ending = new AbortController();
  const troubles: TesseraError[] = [];
  let missing: MissingExperts | undefined;
  const nothing = { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: 'localhost' };
  const pool = await openExperts(
    { modelDir: bundle.dir, session: oneThread },
    {
      placementFile,
      rowType: 'float32',
      callTimeoutMs: 5000,
      hedge: false,
      maxMessageBytes: 4 << 20,
      tls: { ...nothing, refreshMs: 60_000, ...tls },
    },
    {
      onTrouble: (error) => troubles.push(error),
      onMissing: (now) => {
        missing = now;
      },
    },
    ending.signal,
  );
  pool.setShards([shard.address]);
  return {
    pool,
    troubles,
    missing: () => missing?.count,
    async [Symbol.asyncDispose]() {
      ending.abort();
      await pool.release();
    },
  };
}

test('engine and shard show each other certificates of one authority, and rows are computed', async () => {
  await using to = await engine({ caFile: ca.caFile, ...(await ca.issue('engine')) });
  await eventually(() => to.missing() === 0, 'all experts are there');
  const width = bundle.manifest.llm.hiddenSize;
  to.pool.beginStep();
  const [answer] = await to.pool.compute(1, new Float32Array(width).fill(0.1), [{ expert: 3, rows: [0] }]);
  to.pool.endStep();
  expect(answer).toMatchObject({ answers: expect.any(Float32Array) });
  expect(to.troubles).toEqual([]);
});

test.each<[what: string, tls: () => Promise<Partial<ExpertsConfig['tls']>>, says: RegExp]>([
  [
    'an engine without a certificate',
    async () => ({ caFile: ca.caFile }),
    /without a certificate, since experts.certFile is not set/,
  ],
  [
    'an engine with a certificate of another authority',
    async () => ({ caFile: ca.caFile, ...(await other.issue('engine')) }),
    /mutual TLS: .* experts.certFile must be of its grpc.clientCaFile/,
  ],
  [
    'a shard with a certificate of an authority that the engine does not trust',
    async () => ({ caFile: other.caFile, ...(await ca.issue('engine')) }),
    /its certificate must be of experts.caFile/,
  ],
  [
    'a shard whose certificate has another name',
    async () => ({ caFile: ca.caFile, ...(await ca.issue('engine')), serverName: 'elsewhere' }),
    /have its name \(experts.serverName\)/,
  ],
  ['an engine that speaks no TLS', async () => ({}), /without TLS, since experts.caFile is not set/],
])('%s: no expert is there, and the trouble is named', async (_, tls, says) => {
  await using to = await engine(await tls());
  await eventually(() => to.troubles.length > 0, 'it is told');
  expect(to.troubles[0]?.message).toContain(`the expert shard at ${shard.address.address} (group a)`);
  expect(to.missing()).toBe(48);
  expect(to.troubles[0]).toMatchObject({ code: 'STAGE_UNAVAILABLE', message: expect.stringMatching(says) });
});
