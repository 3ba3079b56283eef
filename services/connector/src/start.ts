import { readBundle } from '@tessera/bundle';
import { connectQueue } from '@tessera/protocol';
import type { Service } from '@tessera/service';
import { startTileStage } from '@tessera/stage';
import { connectorSettings } from './config.js';
import { connectorPorts } from './graph.js';
import { connectorService } from './server.js';
import { connectJobHandler } from './worker.js';

/** The connector as a service: give it to `runService` or `startService`. */
export const connector: Service<typeof connectorSettings> = {
  name: 'connector',
  settings: connectorSettings,
  start: async (context) => {
    const { settings, drain } = context;
    const bundle = await readBundle(settings['model.dir'], ['connector']);
    const { patches, width, tokens, llmWidth } = bundle.stage('connector');
    const maxBatch = settings['batch.max'];
    return startTileStage({
      stage: 'connector',
      queue: connectQueue,
      bundle,
      context,
      calls: 'Connect calls',
      ports: connectorPorts({ patches, width, tokens, llmWidth }),
      build: (tiles, { model, bus, admission }) => {
        const description = { model, patches, width, tokenCount: tokens, llmWidth, maxBatch };
        return {
          handle: connectJobHandler(bus, tiles),
          service: connectorService({
            description,
            tiles,
            admission,
            tilesAtOnce: maxBatch,
            pauseMs: settings['requests.maxPauseMs'],
            drain,
          }),
        };
      },
    });
  },
};
