import { natsSettings } from '@tessera/bus';
import { commonSettings, requestSettings, setting } from '@tessera/service';
import { z } from 'zod';

export interface StageDefaults {
  /** What a batch is made of: "tiles". */
  readonly what: string;
  readonly maxBatch: number;
  readonly maxWaiting: number;
  readonly slots: number;
  readonly maxCalls: number;
}

const positive = z.int().min(1);

export type StageSettings = ReturnType<typeof stageSettings>;
export type TileStageSettings = ReturnType<typeof tileStageSettings>;

/** The settings of every service that computes: all but the gateway. */
export const computeSettings = {
  threads: setting(positive, {
    default: 1,
    description:
      'Threads that one computation may use. 1 is best where several processes share the cores; raise it where one has them for itself.',
  }),
  device: setting(z.enum(['cpu', 'cuda']), {
    default: 'cpu',
    description: "Execution provider of ONNX Runtime; cuda needs onnxruntime-node installed with CUDA's files.",
  }),
};

/** All settings that every pulling stage has, with its own defaults. */
export function stageSettings({ what, maxBatch, maxWaiting, slots, maxCalls }: StageDefaults) {
  return {
    ...commonSettings,
    ...natsSettings,
    ...requestSettings,
    ...computeSettings,
    'batch.max': setting(positive.max(1024), {
      default: maxBatch,
      description: `The most ${what} that are computed together.`,
    }),
    'batch.maxWaiting': setting(positive, {
      default: maxWaiting,
      description: `The most ${what} that wait for a batch; one more is refused with QUEUE_FULL.`,
    }),
    'jobs.slots': setting(positive.max(4096), {
      default: slots,
      description: 'Jobs of the queue that are in work at one time.',
    }),
    'calls.max': setting(positive, {
      default: maxCalls,
      description: 'Open gRPC calls that do work; one more is refused with QUEUE_FULL.',
    }),
  };
}

/** All settings of a stage that computes tiles: its batches wait for company. */
export function tileStageSettings(defaults: Omit<StageDefaults, 'what'>) {
  return {
    ...stageSettings({ ...defaults, what: 'tiles' }),
    'batch.waitMs': setting(z.int().min(0).max(1000), {
      default: 2,
      description: 'Time that a batch waits for tiles that are being read or prepared at that moment, in milliseconds.',
    }),
  };
}
