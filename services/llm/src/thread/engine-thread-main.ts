import { fromWireError, type HostPort, hostInThread, toWireError } from '@tessera/inference';
import { type EngineConfig, engineCoreOptions } from '../engine/create-engine-core.js';
import { EngineCore } from '../engine/engine-core.js';
import type { EventSink } from '../engine/engine-events.js';
import type { CallNews, EngineCommand, EngineNews } from './engine-messages.js';

/**
 * The engine in its thread: runs the steps, which block it, and takes in commands between them. News of one step leaves
 * as one message.
 */
class SteppingEngine {
  #outbox: CallNews[] = [];

  constructor(
    private readonly port: HostPort<EngineNews>,
    private readonly core: EngineCore,
  ) {
    core.done.catch((error: unknown) => {
      this.#flush();
      // An engine that cannot compute must not look alive: this ends the thread, and the process with it.
      setImmediate(() => {
        throw error;
      });
    });
  }

  obey(command: EngineCommand): void {
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
        void this.core.drain().then(() => {
          this.#flush();
          this.port.tell({ type: 'drained' });
        });
        break;
      case 'close':
        void this.core.close().then(() => {
          this.#flush();
          this.port.end();
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
    this.port.tell({ type: 'step', news, stats: this.core.stats() });
  }
}

await hostInThread<EngineConfig, EngineCommand, EngineNews>(async (config, port) => {
  const options = await engineCoreOptions(config, (opened) => port.tell({ type: 'opened', ...opened }));
  const onStepFailed = (error: unknown): void => port.tell({ type: 'stepFailed', error: toWireError(error) });
  const engine = new SteppingEngine(port, new EngineCore({ ...options, onStepFailed }));
  return (command) => engine.obey(command);
});
