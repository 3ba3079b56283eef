import { defaultMediaLimits, defaultSvgLane, type MediaLimits } from '@tessera/media';
import { type Settings, setting } from '@tessera/service';
import { tileStageSettings } from '@tessera/stage';
import { z } from 'zod';

/** The encoder's settings. */
export const encoderSettings = {
  ...tileStageSettings({ maxBatch: 8, maxWaiting: 512, slots: 8, maxCalls: 32 }),
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
    description:
      'Pixels of all pictures that are decoded at one time; each takes three bytes of memory. One of 16-bit pictures with a colour profile counts as up to four.',
  }),
  'media.decodeTimeoutS': setting(z.int().min(1).max(600), {
    default: defaultMediaLimits.decodeTimeoutS,
    description:
      'How long decoding one picture may take, in seconds; beyond it the picture is refused. Less than nats.stallMs.',
  }),
  'media.svgCpuMs': setting(z.int().min(100).max(600_000), {
    default: defaultMediaLimits.svgCpuMs,
    description:
      'How much computing drawing one SVG may take, in milliseconds of one core; beyond it the drawing is refused. Maps and charts of some megabytes take a second or two. A busy machine may take fifteen times as long, which is to be less than nats.stallMs.',
  }),
  'media.svgMemoryBytes': setting(z.int().min(256 * 1024 * 1024), {
    default: defaultMediaLimits.svgMemoryBytes,
    description: 'How much memory a process that draws an SVG may have, in bytes; beyond it the drawing is refused.',
  }),
  'media.svgProcesses': setting(z.int().min(1).max(64), {
    default: defaultSvgLane.processes,
    description:
      'SVGs that are drawn at one time, each in a process of its own; no more than cores that the tiles can spare.',
  }),
  'media.svgMaxWaiting': setting(z.int().min(1), {
    default: defaultSvgLane.maxWaiting,
    description: 'SVGs that wait to be drawn; one more is refused with QUEUE_FULL.',
  }),
};

export type EncoderSettings = Settings<typeof encoderSettings>;

/** What a media item may cost here. */
export function mediaLimits(settings: EncoderSettings): MediaLimits {
  return {
    ...defaultMediaLimits,
    maxBytes: settings['media.maxBytes'],
    maxPixels: settings['media.maxPixels'],
    decodeTimeoutS: settings['media.decodeTimeoutS'],
    svgCpuMs: settings['media.svgCpuMs'],
    svgMemoryBytes: settings['media.svgMemoryBytes'],
  };
}
