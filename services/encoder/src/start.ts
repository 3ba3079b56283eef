import { modelInfo, readBundle } from '@tessera/bundle';
import { createThreadSession, sessionOptions } from '@tessera/inference';
import { SvgLane } from '@tessera/media';
import { encodeQueue, Modality, TesseraError } from '@tessera/protocol';
import type { Service } from '@tessera/service';
import { Admission, StageMeter, startStage, tilesTotal } from '@tessera/stage';
import { encoderSettings, mediaLimits } from './config.js';
import { EncoderEngine } from './engine.js';
import { ItemEncoder } from './item-encoder.js';
import { encoderService } from './server.js';
import { encodeJobHandler } from './worker.js';

/** The encoder as a service: give it to `runService` or `startService`. */
export const encoder: Service<typeof encoderSettings> = {
  name: 'encoder',
  settings: encoderSettings,
  start: async (context) => {
    const { settings, metrics, drain } = context;
    const bundle = await readBundle(settings['model.dir'], ['encoder']);
    const model = bundle.stage('encoder');
    const { preprocessing } = bundle.manifest;
    if (preprocessing === undefined) {
      // The manifest's schema forbids it; TypeScript does not know that the two come together.
      throw new TesseraError('CHECKPOINT_INVALID', `the model ${bundle.manifest.name} says nothing of preprocessing`);
    }
    const info = modelInfo(bundle.manifest);
    return startStage({
      queue: encodeQueue,
      model: info,
      context,
      build: async (bus) => {
        const session = await createThreadSession('encoder', bundle.file(model.graph), sessionOptions(settings));
        const meter = new StageMeter(metrics, 'encoder');
        const engine = new EncoderEngine(session, model, {
          maxBatch: settings['batch.max'],
          waitMs: settings['batch.waitMs'],
          maxWaiting: settings['batch.maxWaiting'],
          onBatch: (batch) => {
            meter.batch(batch);
            metrics.counter(tilesTotal).inc({ stage: 'encoder' }, batch.size);
          },
        });
        const maxMediaBytes = settings['media.maxBytes'];
        const svgLane = new SvgLane({
          processes: settings['media.svgProcesses'],
          maxWaiting: settings['media.svgMaxWaiting'],
        });
        const itemEncoder = new ItemEncoder(engine, {
          preprocessing,
          limits: mediaLimits(settings),
          maxPixelsInFlight: settings['media.maxPixelsInFlight'],
          svgLane,
          tilesAtOnce: settings['batch.max'],
        });
        const admission = new Admission('Encode calls', settings['calls.max'], drain);
        const description = {
          model: info,
          modalities: [Modality.IMAGE],
          tileHeight: model.inputSize.height,
          tileWidth: model.inputSize.width,
          patches: model.patches,
          width: model.width,
          maxBatch: settings['batch.max'],
        };
        return {
          handle: encodeJobHandler(bus, itemEncoder),
          slots: settings['jobs.slots'],
          services: [encoderService({ description, encoder: itemEncoder, admission, maxMediaBytes })],
          admission,
          crashed: session.crashed,
          release: async () => {
            await engine.close();
            svgLane.close();
            await session.release();
            meter.stop();
          },
        };
      },
    });
  },
};
