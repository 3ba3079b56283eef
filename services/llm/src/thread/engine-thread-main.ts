import { fromWireError, type HostPort, hostInThread, toWireError } from '@tessera/inference';
import type { TesseraError } from '@tessera/protocol';
import { engineCoreOptions } from '../engine/create-engine-core.js';
import type { EngineConfig } from '../engine/engine-config.js';
import { EngineCore } from '../engine/engine-core.js';
import type { EventSink } from '../engine/engine-events.js';
import type { ExpertPool } from '../experts/expert-pool.js';
import { openExperts } from '../experts/open-experts.js';
import type { LayerLinks } from '../layers/layer-links.js';
import { openLayers } from '../layers/open-layers.js';
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
    private readonly elsewhere: ThreadElsewhere,
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
        this.elsewhere.experts?.setShards(command.shards);
        break;
      case 'layerShards':
        this.elsewhere.layers?.setShards(command.shards);
        break;
      case 'report':
        tellReports(this.elsewhere, this.port);
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

/** What the model has elsewhere, as far as this thread talks to it. */
interface ThreadElsewhere {
  readonly experts?: ExpertPool | undefined;
  readonly layers?: LayerLinks | undefined;
}

/** How often is told what happened at the shards. */
const reportMs = 1000;

function tellReports({ experts, layers }: ThreadElsewhere, port: HostPort<EngineNews>): void {
  if (experts !== undefined) port.tell({ type: 'experts', report: experts.report() });
  if (layers !== undefined) port.tell({ type: 'layers', report: layers.report() });
}

/** The placed experts, and the links to layer shards, of which the other side is told. */
async function openElsewhere(
  config: EngineConfig,
  port: HostPort<EngineNews>,
  signal: AbortSignal,
): Promise<ThreadElsewhere> {
  const tellTrouble = (type: 'expertTrouble' | 'layerTrouble') => (error: TesseraError) =>
    port.tell({ type, error: toWireError(error) });
  const experts =
    config.experts &&
    (await openExperts(
      config,
      config.experts,
      {
        onTrouble: tellTrouble('expertTrouble'),
        onMissing: (missing) => port.tell({ type: 'expertsMissing', missing }),
      },
      signal,
    ));
  const layers =
    config.layers &&
    (await openLayers(config, config.layers, {
      onTrouble: tellTrouble('layerTrouble'),
      onMissing: (missing) => port.tell({ type: 'layersMissing', missing }),
    }));
  const elsewhere = { experts, layers };
  const timer = setInterval(() => tellReports(elsewhere, port), reportMs);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return elsewhere;
}

await hostInThread<EngineConfig, EngineCommand, EngineNews>(async (config, port) => {
  const ending = new AbortController();
  const elsewhere = await openElsewhere(config, port, ending.signal);
  const options = await engineCoreOptions(config, (opened) => port.tell({ type: 'opened', ...opened }), elsewhere);
  const core: EngineCore = new EngineCore({
    ...options,
    onStepFailed: (error) => port.tell({ type: 'stepFailed', error: toWireError(error) }),
    onCacheLost: (error) => port.tell({ type: 'cacheLost', error: toWireError(error), stats: core.stats() }),
  });
  const engine = new SteppingEngine(port, core, elsewhere);
  void core.done.finally(() => ending.abort()).catch(() => {});
  return (command) => engine.obey(command);
});
