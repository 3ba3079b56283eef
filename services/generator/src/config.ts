import { type Settings, setting } from '@tessera/service';
import { stageSettings } from '@tessera/stage';
import { z } from 'zod';

/** The generator's settings. */
export const generatorSettings = {
  ...stageSettings({ what: 'pictures', maxBatch: 4, maxWaiting: 64, slots: 8, maxCalls: 32 }),
  'draw.maxSteps': setting(z.int().min(1).max(10_000), {
    default: 200,
    description: 'The most denoising steps that one picture may take.',
  }),
  'draw.maxGuidance': setting(z.number().min(1), {
    default: 20,
    description: 'The strongest classifier-free guidance that may be asked for; 1 is none.',
  }),
};

export type GeneratorSettings = Settings<typeof generatorSettings>;
