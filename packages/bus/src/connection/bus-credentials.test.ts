import { nkeys } from '@nats-io/transport-node';
import { startNatsServer } from '@tessera/nats-server';
import { memoryLog } from '@tessera/service/testing/memory-log';
import { eventually } from '@tessera/testing/async/eventually';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Bus } from '../bus.js';
import { Cleanup } from '../testing/test-bus.js';
import type { BusCredentials } from './bus-credentials.js';

const cleanup = new Cleanup();
let files: TestAuthority;
beforeEach(async () => {
  files = await TestAuthority.create();
});
afterEach(async () => {
  await cleanup.run();
  await files[Symbol.asyncDispose]();
});

const { log, lines } = memoryLog();

async function server(configuration: string, port = 0) {
  const nats = await startNatsServer({ configuration, port });
  cleanup.add(() => nats.stop());
  return nats;
}

async function connect(url: string, credentials?: BusCredentials): Promise<Bus> {
  const bus = await Bus.connect({ url, prefix: 't', revision: 'r1', name: 'test', credentials, log });
  cleanup.add(() => bus.close());
  return bus;
}

const letIn = async (url: string, credentials?: BusCredentials) => {
  expect((await connect(url, credentials)).isOnline).toBe(true);
};
const refused = async (url: string, credentials?: BusCredentials, code = 'CONFIG_INVALID') => {
  await expect(connect(url, credentials)).rejects.toMatchObject({ code });
};

describe('a server that asks', () => {
  test('for a user and a password', async () => {
    const { url } = await server('authorization { user: encoder, password: s3cret }');
    const passwordFile = await files.file('password', 's3cret\n');
    await letIn(url, { user: 'encoder', passwordFile });
    await refused(url, { user: 'encoder', passwordFile: await files.file('wrong', 'guess') });
    await refused(url);
  });

  test('for a token', async () => {
    const { url } = await server('authorization { token: t0ken }');
    await letIn(url, { tokenFile: await files.file('token', 't0ken') });
    await refused(url, { tokenFile: await files.file('wrong', 'guess') });
  });

  test('for an nkey', async () => {
    const user = nkeys.createUser();
    const { url } = await server(`authorization { users: [{ nkey: ${user.getPublicKey()} }] }`);
    const seed = (pair: typeof user) => Buffer.from(pair.getSeed()).toString();
    await letIn(url, { nkeyFile: await files.file('seed.nk', `${seed(user)}\n`) });
    await refused(url, { nkeyFile: await files.file('other.nk', seed(nkeys.createUser())) });
  });

  test('for credentials', async () => {
    const { configuration, credentials } = operatorMode();
    const { url } = await server(configuration);
    await letIn(url, { credentialsFile: await files.file('user.creds', credentials) });
    await refused(url);
  });

  test('for TLS, its CA and a certificate', async () => {
    const own = await files.issue('nats');
    const ca = files.caFile;
    const { url } = await server(
      `tls { cert_file: "${own.certFile}", key_file: "${own.keyFile}", ca_file: "${ca}", verify: true }`,
    );
    await letIn(url, { caFile: ca, ...(await files.issue('encoder')) });
    await refused(url, { caFile: ca }, 'STAGE_UNAVAILABLE');
    await using other = await TestAuthority.create();
    await refused(url, { caFile: ca, ...(await other.issue('encoder')) }, 'STAGE_UNAVAILABLE');
    await refused(url, { caFile: other.caFile, ...(await files.issue('encoder')) }, 'STAGE_UNAVAILABLE');
  });

  test('by another name than its address', async () => {
    const own = await files.issue('nats', ['nats.example'], []);
    const { url } = await server(`tls { cert_file: "${own.certFile}", key_file: "${own.keyFile}" }`);
    await refused(url, { caFile: files.caFile }, 'STAGE_UNAVAILABLE');
    await letIn(url, { caFile: files.caFile, serverName: 'nats.example' });
  });
});

test('where TLS is required, a server without it is refused', async () => {
  const { url } = await server('');
  await letIn(url);
  await refused(url, { requireTls: true }, 'STAGE_UNAVAILABLE');
  await refused(url, { caFile: files.caFile }, 'STAGE_UNAVAILABLE');
});

test('a renewed password is used at the next connection, however often the old one was refused', async () => {
  const nats = await server('authorization { user: encoder, password: old }');
  const port = Number(new URL(nats.url).port);
  const passwordFile = await files.file('password', 'old');
  const bus = await connect(nats.url, { user: 'encoder', passwordFile });
  await nats.stop();
  await eventually(() => !bus.isOnline, 'the connection is lost');
  let refusals = 0;
  const renewed = await startNatsServer({
    configuration: 'authorization { user: encoder, password: new }',
    port,
    log: (line) => {
      if (line.includes('authentication error')) refusals++;
    },
  });
  cleanup.add(() => renewed.stop());
  await eventually(() => refusals > 3, 'the old password is refused again and again');
  await files.file('password', 'new');
  await eventually(() => bus.isOnline, 'the new password lets it in');
});

test('what contradicts itself or cannot be read is told, without the secret', async () => {
  const { url } = await server('');
  const secretFile = await files.file('secret', 's3cret');
  const bad: Array<[BusCredentials, RegExp]> = [
    [{ user: 'a', tokenFile: secretFile }, /nats\.user and nats\.tokenFile/],
    [{ passwordFile: secretFile }, /needs nats\.user/],
    [{ tokenFile: `${secretFile}.none` }, /secret\.none cannot be read/],
    [{ tokenFile: await files.file('empty', '\n') }, /is empty/],
    [{ nkeyFile: secretFile }, /holds nothing to prove oneself with/],
    [{ credentialsFile: secretFile }, /holds nothing to prove oneself with/],
    [{ certFile: secretFile }, /come together/],
  ];
  for (const [credentials, message] of bad) {
    await expect(connect(url, credentials)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message });
  }
  const secretUrl = url.replace('//', '//encoder:s3cret@');
  const error = await connect(secretUrl).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('nats.passwordFile') });
  expect(String(error)).not.toContain('s3cret');
});

test('no secret is in the log', () => {
  expect(lines.length).toBeGreaterThan(0);
  expect(JSON.stringify(lines)).not.toMatch(/s3cret|t0ken|"SU[A-Z2-7]{56}/);
});

/** A server run by an operator's JWTs, and one user's file of credentials. */
function operatorMode(): { configuration: string; credentials: string } {
  const [operator, system, account] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
  const user = nkeys.createUser();
  const limits = { subs: -1, data: -1, payload: -1, conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true };
  const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const operatorJwt = jwt(operator, operator, {
    type: 'operator',
    version: 2,
    system_account: system.getPublicKey(),
  });
  const systemJwt = jwt(operator, system, { type: 'account', version: 2, limits });
  const accountJwt = jwt(operator, account, { type: 'account', version: 2, limits: { ...limits, ...storage } });
  const userJwt = jwt(account, user, { type: 'user', version: 2, subs: -1, data: -1, payload: -1 });
  return {
    configuration: [
      `operator: ${operatorJwt}`,
      'resolver: MEMORY',
      'resolver_preload {',
      `  ${system.getPublicKey()}: ${systemJwt}`,
      `  ${account.getPublicKey()}: ${accountJwt}`,
      '}',
    ].join('\n'),
    credentials: [
      '-----BEGIN NATS USER JWT-----',
      userJwt,
      '------END NATS USER JWT------',
      '',
      '-----BEGIN USER NKEY SEED-----',
      Buffer.from(user.getSeed()).toString(),
      '------END USER NKEY SEED------',
      '',
    ].join('\n'),
  };
}

type KeyPair = ReturnType<typeof nkeys.createUser>;

function jwt(issuer: KeyPair, subject: KeyPair, nats: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const sub = subject.getPublicKey();
  const claims = { jti: sub, iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name: sub, sub, nats };
  const signed = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode(claims)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`;
}
