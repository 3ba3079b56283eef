import type { CausalLm } from '../stages/causal-lm.js';
import type { Connector, FeatureShape } from '../stages/connector.js';
import type { Generator } from '../stages/generator.js';
import type { VisionEncoder } from '../stages/vision-encoder.js';
import { pixelShuffleMlp } from './connector/pixel-shuffle-mlp/pixel-shuffle-mlp.js';
import type { Family } from './family.js';
import { pixart } from './generator/pixart/pixart.js';
import { internlm2 } from './llm/internlm2/internlm2.js';
import { internlm3 } from './llm/internlm3/internlm3.js';
import { llama } from './llm/llama/llama.js';
import { mistral } from './llm/mistral/mistral.js';
import { mixtral } from './llm/mixtral/mixtral.js';
import { qwen2 } from './llm/qwen2/qwen2.js';
import { qwen2Moe } from './llm/qwen2-moe/qwen2-moe.js';
import { qwen3 } from './llm/qwen3/qwen3.js';
import { qwen3Moe } from './llm/qwen3-moe/qwen3-moe.js';
import { resnet } from './vision/resnet/resnet.js';

type ByModelType<Model, Given extends readonly unknown[] = []> = Readonly<Record<string, Family<Model, Given>>>;

interface Registry {
  readonly vision: ByModelType<VisionEncoder>;
  readonly connector: ByModelType<Connector, [FeatureShape]>;
  readonly llm: ByModelType<CausalLm>;
  readonly generator: ByModelType<Generator>;
}

/** Every family, by the model_type of its part of config.json. */
export const families: Registry = {
  vision: { resnet },
  connector: { pixel_shuffle_mlp: pixelShuffleMlp },
  llm: { internlm2, internlm3, llama, mistral, mixtral, qwen2, qwen2_moe: qwen2Moe, qwen3, qwen3_moe: qwen3Moe },
  generator: { pixart },
};
