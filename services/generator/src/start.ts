import { modelInfo, readBundle } from '@tessera/bundle';
import { createThreadSession, sessionOptions } from '@tessera/inference';
import { generateQueue } from '@tessera/protocol';
import { counterMetric, gaugeMetric, type Service } from '@tessera/service';
import { Admission, StageMeter, startStage } from '@tessera/stage';
import { generatorSettings } from './config.js';
import { GeneratorEngine } from './engine.js';
import { readModel } from './read-model.js';
import { Sampler } from './sampler.js';
import { generatorService } from './server.js';
import { generateJobHandler } from './worker.js';

const denoiseStepsTotal = counterMetric('tessera_denoise_steps_total', {
  unit: 'count',
  help: 'Denoising steps computed, counted once for each drawing in the batch.',
  from: 'generator',
});

const drawingsTotal = counterMetric('tessera_drawings_total', {
  unit: 'count',
  help: 'Drawings finished.',
  from: 'generator',
});

const drawingsWaiting = gaugeMetric('tessera_drawings_waiting', {
  unit: 'count',
  help: 'Drawings that a generator has taken and that wait for a place in its batch.',
  from: 'generator',
});

/** The generator as a service: give it to `runService` or `startService`. */
export const generator: Service<typeof generatorSettings> = {
  name: 'generator',
  settings: generatorSettings,
  start: async (context) => {
    const { settings, metrics, drain } = context;
    const bundle = await readBundle(settings['model.dir'], ['generator']);
    const model = await readModel(bundle);
    const info = modelInfo(bundle.manifest);
    return startStage({
      queue: generateQueue,
      model: info,
      context,
      build: async (bus) => {
        const graph = bundle.file(bundle.stage('generator').graph);
        const session = await createThreadSession('generator', graph, sessionOptions(settings));
        const meter = new StageMeter(metrics, 'generator');
        const limits = {
          maxBatch: settings['batch.max'],
          maxWaiting: settings['batch.maxWaiting'],
          maxSteps: settings['draw.maxSteps'],
          maxGuidance: settings['draw.maxGuidance'],
        };
        const waiting = metrics.gauge(drawingsWaiting);
        const sampler = new Sampler(new GeneratorEngine(session, model), limits, {
          onBatch: (batch) => {
            meter.batch(batch);
            metrics.counter(denoiseStepsTotal).inc(batch.size);
          },
          onPicture: () => metrics.counter(drawingsTotal).inc(),
          onWaiting: (count) => waiting.set(count),
        });
        const admission = new Admission('Draw calls', settings['calls.max'], drain);
        const { height, width, conditionLength, conditionWidth, defaultSteps, defaultGuidance } = model;
        const description = {
          model: info,
          height,
          width,
          conditionLength,
          conditionWidth,
          defaultSteps,
          defaultGuidance,
          maxSteps: limits.maxSteps,
          maxBatch: limits.maxBatch,
        };
        return {
          handle: generateJobHandler(bus, sampler, settings['nats.partBytes']),
          expectedMs: ({ options }) => sampler.leastMs(options?.steps),
          slots: settings['jobs.slots'],
          services: [generatorService({ description, sampler, admission })],
          admission,
          crashed: session.crashed,
          release: async () => {
            await sampler.close();
            await session.release();
            meter.stop();
          },
        };
      },
    });
  },
};
