import { fromWireError, type HostPort, hostInThread, toWireError } from '@tessera/inference';
import type { TesseraError } from '@tessera/protocol';
import { type EngineConfig, type ExpertsConfig, engineCoreOptions } from '../engine/create-engine-core.js';
import { EngineCore } from '../engine/engine-core.js';
import type { EventSink } from '../engine/engine-events.js';
import type { ExpertPool } from '../experts/expert-pool.js';
import type { MissingExperts } from '../experts/missing-experts.js';
import { openExperts } from '../experts/open-experts.js';
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
    private readonly experts: ExpertPool | undefined,
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
      case 'shards':
        this.experts?.setShards(command.shards);
        break;
      case 'reportExperts':
        if (this.experts !== undefined) this.port.tell({ type: 'experts', report: this.experts.report() });
        break;
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

/** How often is told what happened at the experts. */
const reportMs = 1000;

/** The placed experts, of which the other side is told. */
async function openThreadExperts(
  config: EngineConfig,
  placed: ExpertsConfig,
  port: HostPort<EngineNews>,
  signal: AbortSignal,
): Promise<ExpertPool> {
  const onTrouble = (error: TesseraError): void => port.tell({ type: 'expertTrouble', error: toWireError(error) });
  const onMissing = (missing: MissingExperts): void => port.tell({ type: 'expertsMissing', missing });
  const pool = await openExperts(config, placed, { onTrouble, onMissing }, signal);
  const timer = setInterval(() => port.tell({ type: 'experts', report: pool.report() }), reportMs);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return pool;
}

await hostInThread<EngineConfig, EngineCommand, EngineNews>(async (config, port) => {
  const ending = new AbortController();
  const experts = config.experts && (await openThreadExperts(config, config.experts, port, ending.signal));
  const options = await engineCoreOptions(config, (opened) => port.tell({ type: 'opened', ...opened }), experts);
  const onStepFailed = (error: unknown): void => port.tell({ type: 'stepFailed', error: toWireError(error) });
  const core = new EngineCore({ ...options, onStepFailed });
  const engine = new SteppingEngine(port, core, experts);
  void core.done.finally(() => ending.abort()).catch(() => {});
  return (command) => engine.obey(command);
});
