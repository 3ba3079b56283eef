import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { TesseraError } from '@tessera/protocol';

/** Below the ports that any common system gives to outgoing connections. */
const [lowest, highest] = [20_000, 32_000];
const tries = 50;

/**
 * A free port of 127.0.0.1 for a server that must come back to it after a restart. One of those that a system gives by
 * itself could meanwhile belong to anybody's connection.
 */
export async function steadyPort(): Promise<number> {
  for (let attempt = 0; attempt < tries; attempt++) {
    const port = randomInt(lowest, highest);
    if ((await portTrouble(port)) === undefined) return port;
  }
  throw new TesseraError('STAGE_UNAVAILABLE', `no free port was found from ${lowest} to ${highest} on 127.0.0.1`);
}

/** Why a port of 127.0.0.1 cannot be listened on, as the system's code, such as EADDRINUSE; undefined when it can. */
export async function portTrouble(port: number): Promise<string | undefined> {
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
