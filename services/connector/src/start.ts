import { modelInfo, readBundle } from '@tessera/bundle';
import { createThreadSession, sessionOptions } from '@tessera/inference';
import { connectQueue } from '@tessera/protocol';
import type { Service } from '@tessera/service';
import { Admission, StageMeter, startStage, tilesTotal } from '@tessera/stage';
import { connectorSettings } from './config.js';
import { ConnectorEngine } from './engine.js';
import { connectorService } from './server.js';
import { connectJobHandler } from './worker.js';

/** The connector as a service: give it to `runService` or `startService`. */
export const connector: Service<typeof connectorSettings> = {
  name: 'connector',
  settings: connectorSettings,
  start: async (context) => {
    const { settings, metrics, drain } = context;
    const bundle = await readBundle(settings['model.dir'], ['connector']);
    const model = bundle.stage('connector');
    const info = modelInfo(bundle.manifest);
    return startStage({
      queue: connectQueue,
      model: info,
      context,
      build: async (bus) => {
        const session = await createThreadSession('connector', bundle.file(model.graph), sessionOptions(settings));
        const meter = new StageMeter(metrics, 'connector');
        const engine = new ConnectorEngine(session, model, {
          maxBatch: settings['batch.max'],
          waitMs: settings['batch.waitMs'],
          maxWaiting: settings['batch.maxWaiting'],
          onBatch: (batch) => {
            meter.batch(batch);
            metrics.counter(tilesTotal).inc({ stage: 'connector' }, batch.size);
          },
        });
        const admission = new Admission('Connect calls', settings['calls.max'], drain);
        const { patches, width, tokens, llmWidth } = model;
        const tilesAtOnce = settings['batch.max'];
        const description = { model: info, patches, width, tokenCount: tokens, llmWidth, maxBatch: tilesAtOnce };
        return {
          handle: connectJobHandler(bus, engine),
          slots: settings['jobs.slots'],
          services: [connectorService({ description, engine, admission, tilesAtOnce, drain })],
          admission,
          crashed: session.crashed,
          release: async () => {
            await engine.close();
            await session.release();
            meter.stop();
          },
        };
      },
    });
  },
};
