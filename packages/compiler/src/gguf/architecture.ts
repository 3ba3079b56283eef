import type { Metadata } from './metadata.js';

/** How an architecture of llama.cpp, a model's `general.architecture`, is one of the families here. */
export interface Architecture {
  /** Its name there, before each of its values. */
  readonly name: string;
  /** The model_type that a config.json of it has. */
  readonly modelType: string;
  /**
   * Whether rows of queries and keys lie in the order for pairs of neighbours that are turned against each other. Published
   * weights, and all families here, have the two of a pair half a head apart.
   */
  readonly turnsNeighbours: boolean;
}

const known = ['internlm2', 'llama', 'qwen2', 'qwen2moe', 'qwen3', 'qwen3moe'];

/** @throws TesseraError CHECKPOINT_INVALID for an architecture that is not built, listing those that are */
export function architectureOf(metadata: Metadata): Architecture {
  const name = metadata.required('general.architecture', metadata.text('general.architecture'));
  switch (name) {
    case 'llama': {
      // One name for all that Mistral publishes, too.
      const routed = (metadata.number('llama.expert_count') ?? 0) > 0;
      const slides = (metadata.number('llama.attention.sliding_window') ?? 0) > 0;
      if (routed && slides) throw metadata.problem('llama.attention.sliding_window', 'is not supported beside experts');
      return { name, modelType: routed ? 'mixtral' : slides ? 'mistral' : 'llama', turnsNeighbours: true };
    }
    case 'internlm2':
      // Its packed projections are apart in a GGUF file, and what is left is a LLaMA.
      return { name, modelType: 'llama', turnsNeighbours: true };
    case 'qwen2':
    case 'qwen3':
      return { name, modelType: name, turnsNeighbours: false };
    case 'qwen2moe':
      return { name, modelType: 'qwen2_moe', turnsNeighbours: false };
    case 'qwen3moe':
      return { name, modelType: 'qwen3_moe', turnsNeighbours: false };
    default:
      throw metadata.problem('general.architecture', `is ${name}; known are ${known.join(', ')}`);
  }
}
