import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { TesseraError } from '@tessera/protocol';
import { HintedError } from '../hinted-error.js';

/** Below the ports that any common system gives to outgoing connections. */
const [lowest, highest] = [20_000, 32_000];
const tries = 50;

/**
 * A free port for a server that must come back to it after a restart. One of those that a system gives by itself could
 * meanwhile belong to anybody's connection.
 */
export async function steadyPort(): Promise<number> {
  for (let attempt = 0; attempt < tries; attempt++) {
    const port = randomInt(lowest, highest);
    if ((await troubleWith(port)) === undefined) return port;
  }
  throw new TesseraError('STAGE_UNAVAILABLE', `no free port was found from ${lowest} to ${highest} on 127.0.0.1`);
}

/**
 * Makes sure that a port can be listened on, before anything is started for it.
 * @param whose what would listen there: `the gateway`
 * @param flag the flag that names another port
 * @throws TesseraError CONFIG_INVALID that names the port and says what to do
 */
export async function requireFreePort(port: number, whose: string, flag: string): Promise<void> {
  if (port === 0) return;
  const trouble = await troubleWith(port);
  if (trouble === undefined) return;
  const why = trouble === 'EADDRINUSE' ? 'another program listens there' : `the system refuses it (${trouble})`;
  throw new HintedError(
    'CONFIG_INVALID',
    `${whose} cannot have port ${port} of 127.0.0.1: ${why}`,
    `End what listens there, or choose another port with ${flag}; 0 takes any free one.`,
  );
}

async function troubleWith(port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
  server.close();
  await once(server, 'close');
  return undefined;
}
