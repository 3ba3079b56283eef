import { defaultMediaLimits } from '@tessera/media';
import { batchWaitSetting, commonSettings, type Settings, setting, stageSettings } from '@tessera/runtime';
import { z } from 'zod';

/** The encoder's settings. */
export const encoderSettings = {
  ...commonSettings,
  ...stageSettings({ what: 'tiles', maxBatch: 8, maxWaiting: 512, slots: 8, maxCalls: 32 }),
  ...batchWaitSetting,
  'media.maxBytes': setting(z.int().min(1), {
    default: defaultMediaLimits.maxBytes,
    description: 'The most bytes of one media item.',
  }),
  'media.maxPixels': setting(z.int().min(1), {
    default: defaultMediaLimits.maxPixels,
    description: 'The most pixels of one picture; refused from its header.',
  }),
  'media.maxPixelsInFlight': setting(z.int().min(1), {
    default: 2 * defaultMediaLimits.maxPixels,
    description: 'Pixels of all pictures that are decoded at one time; each takes three bytes of memory.',
  }),
};

export type EncoderSettings = Settings<typeof encoderSettings>;
