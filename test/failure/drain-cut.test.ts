import { eventually } from '@tessera/testing/async/eventually';
import { expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { atRest } from '../support/at-rest.js';
import { deploy } from '../support/deployment.js';
import { awaitRestart, signal } from '../support/processes.js';
import { RawChat } from '../support/raw-chat.js';

test('a generator that may not finish its drawing hands it over at once: the same picture comes in time', async () => {
  // Were it not handed over, the job would be another's only after its ack wait, long after the deadline.
  await using deployment = await deploy({
    flags: {
      encoder: ['--nats-ack-wait-ms', '3600000'],
      connector: ['--nats-ack-wait-ms', '3600000'],
      llm: ['--nats-ack-wait-ms', '3600000'],
      generator: ['--nats-ack-wait-ms', '3600000', '--drain-grace-ms', '1'],
      gateway: ['--nats-ack-wait-ms', '3600000'],
    },
  });
  const request = 'Draw a red apple on a blue background.';
  const drawing = { seed: 7n, steps: 200 };
  const undisturbed = await ask(deployment.gateway, [{ says: [request] }], { draw: drawing });
  using chat = new RawChat(deployment.gateway, { timeoutMs: 240_000 });
  chat.ask(request, [], { draw: drawing }).close();
  await chat.event('mediaProgress');
  const pid = deployment.pid('generator');
  signal(deployment, 'generator', 'SIGTERM');
  await awaitRestart(deployment, 'generator', pid);
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  const parts = chat.events.flatMap((event) => (event.$case === 'mediaPart' ? [event.value.data] : []));
  expect(Buffer.compare(Buffer.concat(parts), undisturbed.pictures[0]?.bytes ?? Buffer.alloc(0))).toBe(0);
  const log = deployment.logs.filter((line) => line.startsWith('generator '));
  expect(log.some((line) => line.includes('did not finish within drain.graceMs (1)'))).toBe(true);
  expect(log.some((line) => line === 'generator ended with status 1')).toBe(true);
  await eventually(async () => (await deployment.metric('generator', 'tessera_jobs_running')) === 0, 'nothing is left');
  await atRest(deployment);
});
