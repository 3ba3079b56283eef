import { connectQueue, TesseraError, WeightFormat } from '@tessera/protocol';
import { runService } from '@tessera/service';
import { Admission } from '../admission.js';
import { stageSettings } from '../stage-settings.js';
import { startStage } from '../start-stage.js';

const settings = stageSettings({ what: 'tiles', maxBatch: 1, maxWaiting: 1, slots: 1, maxCalls: 1 });

/** A connector whose engine dies of its first job. */
await runService({
  name: 'connector',
  settings,
  start: (context) =>
    startStage({
      queue: connectQueue,
      model: { name: 'none', revision: 'crashing', weights: WeightFormat.FLOAT32 },
      context,
      build: async () => {
        const { promise: crashed, crash } = crashable();
        return {
          handle: async () => {
            const error = new TesseraError('STAGE_UNAVAILABLE', 'the thread connector ended: exit code 1');
            crash(error);
            throw error;
          },
          slots: 1,
          services: [],
          admission: new Admission('calls', 1, context.drain),
          crashed,
          release: async () => {},
        };
      },
    }),
});

function crashable() {
  let crash: (error: TesseraError) => void = () => {};
  const promise = new Promise<TesseraError>((resolve) => {
    crash = resolve;
  });
  return { promise, crash: (error: TesseraError) => crash(error) };
}
