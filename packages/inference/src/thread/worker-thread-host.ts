import { parentPort, workerData } from 'node:worker_threads';
import { TesseraError } from '@tessera/protocol';
import type { ThreadMessage } from './thread-message.js';
import { toWireError } from './wire-error.js';

/** The thread's way to the one that started it. */
export interface HostPort<News> {
  /** @param transfer buffers of the news that move instead of being copied */
  tell(news: News, transfer?: readonly ArrayBuffer[]): void;
  /** Ends the thread, once it has nothing left to do. */
  end(): void;
}

/**
 * The thread's side of `WorkerThread`: makes what it hosts from the data that the thread was started with, and hands it
 * the commands. An error in making it refuses the start; one that nobody catches later ends the thread.
 * @param create gives what obeys commands
 */
export async function hostInThread<Init, Command, News>(
  create: (init: Init, port: HostPort<News>) => Promise<(command: Command) => void>,
): Promise<void> {
  if (parentPort === null) throw new TesseraError('INTERNAL', 'an engine is hosted in a worker thread only');
  const port = parentPort;
  const say = (message: ThreadMessage<News>, transfer: readonly ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);
  // Without an open port nothing keeps the thread alive, and it ends by itself.
  const end = (): void => port.close();
  try {
    const obey = await create(workerData as Init, {
      tell: (news, transfer) => say({ type: 'news', news }, transfer),
      end,
    });
    port.on('message', obey);
    say({ type: 'ready' });
  } catch (reason) {
    say({ type: 'refused', error: toWireError(reason) });
    end();
  }
}
