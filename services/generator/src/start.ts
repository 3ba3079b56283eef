import { readBundle } from '@tessera/bundle';
import { generateQueue } from '@tessera/protocol';
import { counterMetric, gaugeMetric, type Service } from '@tessera/service';
import { startGraphStage } from '@tessera/stage';
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
    const drawn = await readModel(bundle);
    return startGraphStage({
      stage: 'generator',
      queue: generateQueue,
      bundle,
      context,
      calls: 'Draw calls',
      build: ({ model, session, bus, admission, meter }) => {
        const limits = {
          maxBatch: settings['batch.max'],
          maxWaiting: settings['batch.maxWaiting'],
          maxSteps: settings['draw.maxSteps'],
          maxGuidance: settings['draw.maxGuidance'],
        };
        const waiting = metrics.gauge(drawingsWaiting);
        const sampler = new Sampler(new GeneratorEngine(session, drawn), limits, {
          onBatch: (batch) => {
            meter.batch(batch);
            metrics.counter(denoiseStepsTotal).inc(batch.size);
          },
          onPicture: () => metrics.counter(drawingsTotal).inc(),
          onWaiting: (count) => waiting.set(count),
        });
        const { height, width, conditionLength, conditionWidth, defaultSteps, defaultGuidance } = drawn;
        const description = {
          model,
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
          service: generatorService({
            description,
            sampler,
            admission,
            pauseMs: settings['requests.maxPauseMs'],
            drain,
          }),
          close: () => sampler.close(),
        };
      },
    });
  },
};
