import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Bus } from '@tessera/bus';
import { startNatsServer } from '@tessera/nats-server';
import { connectQueue } from '@tessera/protocol';
import { captureOutput } from '@tessera/testing/processes/capture-output';
import { expect, test } from 'vitest';

/** Built JavaScript, since it runs in a process of its own. */
const program = fileURLToPath(new URL('../dist/testing/run-crashing-stage.js', import.meta.url));

test('a stage whose engine dies hands its job back and ends with a status that is not 0', async () => {
  const nats = await startNatsServer();
  const bus = await Bus.connect({ url: nats.url, prefix: 'tessera', revision: 'crashing', name: 'test' });
  await bus.setup();
  const child = spawn(process.execPath, [program, '--model-dir', 'none', '--nats-url', nats.url], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { ended } = captureOutput(child);
  try {
    const key = { requestId: 'job', attempt: 0, item: 0 };
    const job = { key, tile: 0, features: { tensor: undefined, stored: undefined }, encoder: undefined };
    await bus.publish(connectQueue, job, { deadlineMs: Date.now() + 60_000, deliverTo: '0-nobodywaits' });
    expect(await ended).toMatchObject({ status: 1, stdout: expect.stringContaining('the thread connector ended') });

    const deliveries: number[] = [];
    const taken = new AbortController();
    await bus.work(connectQueue, {
      slots: 1,
      signal: taken.signal,
      handler: async (_, context) => {
        deliveries.push(context.deliveries);
        taken.abort();
      },
    });
    expect(deliveries).toEqual([2]);
  } finally {
    child.kill('SIGKILL');
    await bus.close();
    await nats.stop();
  }
});
