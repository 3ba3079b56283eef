import type { Service } from '@tessera/service';
import { llmSettings } from './config.js';
import { startExpertShard } from './experts/shard/start-expert-shard.js';
import { startLayerShard } from './layers/shard/start-layer-shard.js';
import { startEngine } from './start-engine.js';

/** The LLM as a service, in each of its roles: give it to `runService` or `startService`. */
export const llm: Service<typeof llmSettings> = {
  name: 'llm',
  settings: llmSettings,
  start: (context) => {
    switch (context.settings.role) {
      case 'engine':
        return startEngine(context);
      case 'experts':
        return startExpertShard(context);
      case 'layers':
        return startLayerShard(context);
    }
  },
};
