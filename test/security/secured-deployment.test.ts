import { readBundle } from '@tessera/bundle';
import type { ServiceName } from '@tessera/cli';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { natsUsers, passwordOf } from '@tessera/nats-server';
import { busRoles, Subjects } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { type StartedShard, startShard } from '../support/expert-shard.js';
import { noisyPng } from '../support/pictures.js';
import { type PlacedExperts, placedExperts } from '../support/placed-experts.js';
import { RawChat } from '../support/raw-chat.js';

/**
 * Every service has a user of its own on NATS, allowed what permissionsOf says and nothing else; NATS speaks TLS; the
 * gateway and the engine show each other certificates, and so do the engine and a shard, which has the model's experts.
 */
let files: TestAuthority;
let deployment: Deployment;
let placed: PlacedExperts;
let shard: StartedShard;
const shardLog: string[] = [];
const natsLog: string[] = [];

beforeAll(async () => {
  files = await TestAuthority.create();
  const dir = await demoBundleDir('float32', 'experts');
  placed = await placedExperts();
  const subjects = new Subjects('tessera', (await readBundle(dir)).manifest.revision);
  const nats = await files.issue('nats');
  const engine = await files.issue('engine');
  const gateway = await files.issue('gateway');
  const flags: Partial<Record<ServiceName, string[]>> = {};
  for (const role of busRoles) {
    const password = await files.file(`${role}.password`, passwordOf(role));
    flags[role] = ['--nats-user', role, '--nats-password-file', password, '--nats-ca-file', files.caFile];
  }
  flags.llm?.push('--grpc-cert-file', engine.certFile, '--grpc-key-file', engine.keyFile);
  flags.llm?.push('--grpc-client-ca-file', files.caFile);
  const shardFlags = [...(flags.llm ?? [])];
  flags.llm?.push('--experts-placement-file', placed.placementFile, '--experts-ca-file', files.caFile);
  flags.llm?.push('--experts-cert-file', engine.certFile, '--experts-key-file', engine.keyFile);
  flags.llm?.push('--experts-server-name', 'localhost');
  // By name: an IP address is no name that TLS may ask for.
  flags.gateway?.push('--engines-ca-file', files.caFile, '--engines-server-name', 'localhost');
  flags.gateway?.push('--engines-cert-file', gateway.certFile, '--engines-key-file', gateway.keyFile);
  deployment = await deploy({
    cut: 'experts',
    flags,
    nats: {
      configuration: [
        natsUsers(subjects),
        `tls { cert_file: "${nats.certFile}", key_file: "${nats.keyFile}", ca_file: "${files.caFile}" }`,
      ].join('\n'),
      log: (line) => natsLog.push(line),
    },
  });
  shard = await startShard(deployment, placed, 'all', { flags: shardFlags, onLog: (line) => shardLog.push(line) });
});
afterAll(async () => {
  await deployment?.stop();
  await shard?.service.stop(10_000);
  await placed?.[Symbol.asyncDispose]();
  await files?.[Symbol.asyncDispose]();
});

const violations = (): string[] => natsLog.filter((line) => /violation/i.test(line));

test('a picture is seen, one that travels in parts too, and a drawing is made', async () => {
  const seen = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }]);
  expect(seen.text).not.toBe('');
  const large = await ask(deployment.gateway, [{ says: [await noisyPng(1200, 900), 'What is this?'] }]);
  expect(large.text).not.toBe('');
  const drawn = await ask(deployment.gateway, [{ says: ['Draw an apple.'] }]);
  expect(drawn.pictures.length).toBe(1);
  expect(violations()).toEqual([]);
});

test('a request that is left ends in every stage', async () => {
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is this?', ['a'], { text: { temperature: 10, seed: 4n, maxTokens: 1500 } });
  chat.media('a', await noisyPng(1200, 900));
  await chat.event('textDelta');
  chat.leave();
  await eventually(
    async () => (await deployment.metric('llm', 'tessera_requests_running')) === 0,
    'the engine is idle',
  );
  await eventually(
    async () => (await deployment.metric('gateway', 'tessera_gateway_requests_total', { code: 'CANCELLED' })) === 1,
    'the gateway is done with it',
  );
  expect(violations()).toEqual([]);
});

test('a restarted NATS is set up again with the same permissions', async () => {
  await deployment.restartNats();
  const seen = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }]);
  expect(seen.text).not.toBe('');
  expect(violations()).toEqual([]);
});

test('a drain leaves without a word that is not allowed, and no secret is in any log', async () => {
  const statuses = await deployment.stop();
  expect(await shard.service.stop(20_000)).toBe(0);
  expect([...statuses.values()]).toEqual([...statuses.values()].map(() => 0));
  expect(violations()).toEqual([]);
  const said = [...natsLog, ...deployment.logs, ...shardLog].join('\n');
  expect(said).not.toMatch(/secret-of-|PRIVATE KEY/);
});
