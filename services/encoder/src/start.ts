import { readBundle } from '@tessera/bundle';
import { SvgLane } from '@tessera/media';
import { encodeQueue, Modality, TesseraError } from '@tessera/protocol';
import type { Service } from '@tessera/service';
import { startTileStage } from '@tessera/stage';
import { encoderSettings, mediaLimits } from './config.js';
import { encoderPorts } from './graph.js';
import { ItemEncoder } from './item-encoder.js';
import { encoderService } from './server.js';
import { encodeJobHandler } from './worker.js';

/** The encoder as a service: give it to `runService` or `startService`. */
export const encoder: Service<typeof encoderSettings> = {
  name: 'encoder',
  settings: encoderSettings,
  start: async (context) => {
    const { settings, drain } = context;
    const bundle = await readBundle(settings['model.dir'], ['encoder']);
    const { inputSize, patches, width } = bundle.stage('encoder');
    const { preprocessing } = bundle.manifest;
    if (preprocessing === undefined) {
      // The manifest's schema forbids it; TypeScript does not know that the two come together.
      throw new TesseraError('CHECKPOINT_INVALID', `the model ${bundle.manifest.name} says nothing of preprocessing`);
    }
    const maxBatch = settings['batch.max'];
    return startTileStage({
      stage: 'encoder',
      queue: encodeQueue,
      bundle,
      context,
      calls: 'Encode calls',
      ports: encoderPorts({ inputSize, patches, width }),
      build: (tiles, { model, bus, admission }) => {
        const svgLane = new SvgLane({
          processes: settings['media.svgProcesses'],
          maxWaiting: settings['media.svgMaxWaiting'],
        });
        const encoder = new ItemEncoder(tiles, {
          preprocessing,
          limits: mediaLimits(settings),
          maxPixelsInFlight: settings['media.maxPixelsInFlight'],
          svgLane,
          tilesAtOnce: maxBatch,
        });
        const description = {
          model,
          modalities: [Modality.IMAGE],
          tileHeight: inputSize.height,
          tileWidth: inputSize.width,
          patches,
          width,
          maxBatch,
        };
        return {
          handle: encodeJobHandler(bus, encoder),
          service: encoderService({
            description,
            encoder,
            admission,
            maxMediaBytes: settings['media.maxBytes'],
            pauseMs: settings['requests.maxPauseMs'],
            drain,
          }),
          close: () => svgLane.close(),
        };
      },
    });
  },
};
