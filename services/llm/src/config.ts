import { commonSettings, computeSettings, type Settings, setting } from '@tessera/runtime';
import { z } from 'zod';
import type { EngineConfig } from './engine/create-engine-core.js';

const positive = z.int().min(1);

/** The LLM's settings. */
export const llmSettings = {
  ...commonSettings,
  ...computeSettings,
  'engine.advertise': setting(z.string().optional(), {
    description: 'Address, host:port, under which others reach this engine; by default the one it listens on.',
    example: 'tessera-llm-0.tessera-llm:7003',
  }),
  'engine.maxRunning': setting(positive.max(1024), {
    default: 16,
    description: 'Sequences that run at once: slots of the KV cache.',
  }),
  'engine.maxWaiting': setting(z.int().min(0).max(65_536), {
    default: 64,
    description: 'Sequences that wait for a slot; one more is refused with QUEUE_FULL.',
  }),
  'engine.maxStepTokens': setting(positive, {
    default: 512,
    description: 'Tokens of one step, prefill and decode together; at least engine.maxRunning.',
  }),
  'engine.maxChunkTokens': setting(positive, {
    default: 256,
    description: 'Prompt tokens of one sequence in one step.',
  }),
  'engine.tileTimeoutMs': setting(positive, {
    default: 10_000,
    description: 'Time after which missing visual tokens are asked for again, in milliseconds.',
  }),
  'engine.maxTileRequests': setting(z.int().min(0), {
    default: 3,
    description: 'Times that missing visual tokens are asked for before the request ends with STAGE_UNAVAILABLE.',
  }),
  'engine.maxDrawings': setting(z.int().min(0), { default: 4, description: 'Drawings in one answer.' }),
};

export type LlmSettings = Settings<typeof llmSettings>;

/** @param session from `sessionOptions` */
export function engineConfig(settings: LlmSettings, session: EngineConfig['session']): EngineConfig {
  return {
    modelDir: settings['model.dir'],
    session,
    limits: {
      maxRunning: settings['engine.maxRunning'],
      maxWaiting: settings['engine.maxWaiting'],
      maxStepTokens: settings['engine.maxStepTokens'],
      maxChunkTokens: settings['engine.maxChunkTokens'],
      tileTimeoutMs: settings['engine.tileTimeoutMs'],
      maxTileRequests: settings['engine.maxTileRequests'],
      maxDrawings: settings['engine.maxDrawings'],
    },
  };
}
