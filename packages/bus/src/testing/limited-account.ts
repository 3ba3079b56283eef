import { startNatsServer } from '@tessera/nats-server';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import type { BusOptions } from '../bus-options.js';
import type { Cleanup } from './test-bus.js';

/** A server of its own whose account may have no more of JetStream than that, and what a bus needs to be its user. */
export interface LimitedAccount extends Pick<BusOptions, 'url' | 'credentials'> {
  readonly user: string;
  readonly password: string;
}

/** @param limits as the server's configuration has them; both go with the test */
export async function limitedAccount(cleanup: Cleanup, limits: string): Promise<LimitedAccount> {
  const [user, password] = ['a', 'p'];
  const users = `users: [{ user: ${user}, password: "${password}" }]`;
  const nats = await startNatsServer({ configuration: `accounts { A: { jetstream: { ${limits} }, ${users} } }` });
  cleanup.add(() => nats.stop());
  const files = await TestAuthority.create();
  cleanup.add(() => files[Symbol.asyncDispose]());
  return { url: nats.url, user, password, credentials: { user, passwordFile: await files.file('password', password) } };
}
