import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { fromWireError, toWireError } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import { type EngineConfig, engineCoreOptions } from '../engine/create-engine-core.js';
import { EngineCore } from '../engine/engine-core.js';
import type { EventSink } from '../engine/engine-events.js';
import type { CallNews, EngineCommand, EngineNews } from './engine-messages.js';

/**
 * The engine's thread: runs the steps, which block it, and takes in commands between them. News of one step leaves as
 * one message.
 */
class EngineThreadHost {
  #outbox: CallNews[] = [];

  constructor(
    private readonly port: MessagePort,
    private readonly core: EngineCore,
  ) {
    port.on('message', (command: EngineCommand) => this.#obey(command));
    core.done.catch((error: unknown) => {
      this.#flush();
      // An engine that cannot compute must not look alive: this ends the thread, and the process with it.
      setImmediate(() => {
        throw error;
      });
    });
  }

  #obey(command: EngineCommand): void {
    switch (command.type) {
      case 'submit':
        this.core.submit(command.request, this.#sink(command.call));
        break;
      case 'tile':
        this.core.provideTile(command.tile);
        break;
      case 'failTile': {
        const { requestId, item, tile, attempt, error } = command;
        this.core.failTile({ requestId, item, tile, attempt, error: fromWireError(error) });
        break;
      }
      case 'cancel': {
        const { requestId, attempt, error } = command;
        this.core.cancel(requestId, { attempt, reason: error && fromWireError(error) });
        break;
      }
      case 'drain':
        void this.core.drain().then(() => this.#leave({ type: 'drained' }));
        break;
      case 'close':
        void this.core.close().then(() => {
          this.#leave({ type: 'closed' });
          // Without an open port nothing keeps the thread alive, and it ends by itself.
          this.port.close();
        });
        break;
    }
  }

  #sink(call: number): EventSink {
    return {
      put: (event) => this.#tell({ call, event }),
      fail: (error) => this.#tell({ call, error: toWireError(error) }),
      end: () => this.#tell({ call, end: true }),
    };
  }

  #tell(news: CallNews): void {
    // The step's own turn comes after this one: everything it tells is in the outbox by then.
    if (this.#outbox.push(news) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const news = this.#outbox;
    if (news.length === 0) return;
    this.#outbox = [];
    this.port.postMessage({ type: 'step', news, stats: this.core.stats() } satisfies EngineNews);
  }

  #leave(last: EngineNews): void {
    this.#flush();
    this.port.postMessage(last);
  }
}

if (parentPort === null) throw new TesseraError('INTERNAL', 'the engine is hosted in a worker thread only');
const port = parentPort;
const tell = (news: EngineNews): void => port.postMessage(news);
try {
  const options = await engineCoreOptions(workerData as EngineConfig);
  const onStepFailed = (error: unknown): void => tell({ type: 'stepFailed', error: toWireError(error) });
  new EngineThreadHost(port, new EngineCore({ ...options, onStepFailed }));
  tell({ type: 'ready' });
} catch (reason) {
  tell({ type: 'refused', error: toWireError(reason) });
  port.close();
}
