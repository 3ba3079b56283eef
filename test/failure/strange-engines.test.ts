import { connect } from '@nats-io/transport-node';
import { readBundle } from '@tessera/bundle';
import { Bus } from '@tessera/bus';
import { EngineStatus, Subjects } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, deploy } from '../support/deployment.js';
import { RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy({ later: ['encoder', 'connector', 'llm', 'generator'] });
});
afterAll(async () => {
  await deployment?.stop();
});

const status = EngineStatus.fromPartial({ engineId: 'e', address: '127.0.0.1:9', maxRunning: 4, maxWaiting: 4 });

async function refused(): Promise<string> {
  using chat = new RawChat(deployment.gateway);
  const { code, stage, message } = await chat.ask('Hello!').close().ended;
  expect({ code, stage }).toEqual({ code: 'STAGE_UNAVAILABLE', stage: 'llm' });
  return message;
}

test('a gateway whose engines are of another revision, or of another version of the bus, says which are there', async () => {
  const { revision } = (await readBundle(deployment.bundleDir, [])).manifest;
  const { version } = new Subjects('tessera', revision);
  expect(await refused()).toContain(
    'no llm engine of this model has announced itself; check that the llm service runs',
  );

  const stop = new AbortController();
  const bus = await Bus.connect({ url: deployment.natsUrl, prefix: 'tessera', revision: 'abcdef012345', name: 'llm' });
  bus.announce(() => status, stop.signal);
  const nats = await connect({ servers: deployment.natsUrl });
  const later = setInterval(() => nats.publish('tessera.v9.engines.fedcba543210', new Uint8Array(0)), 200);
  try {
    const says = `engines of revision abcdef012345, revision fedcba543210 on version v9 of the bus are there, and this gateway serves revision ${revision} on version ${version}`;
    await eventually(
      () => deployment.logs.some((line) => line.startsWith('gateway ') && line.includes(says)),
      'the log says so',
    );
    expect(await refused()).toContain(says);
  } finally {
    clearInterval(later);
    stop.abort();
    await Promise.all([bus.close(), nats.close()]);
  }
  // One of its own is there: the others are of no account.
  await deployment.stack.startService('llm');
  using chat = new RawChat(deployment.gateway);
  expect(await chat.ask('Hello!', [], { text: { maxTokens: 4 } }).close().ended).toMatchObject({ status: 'OK' });
});
