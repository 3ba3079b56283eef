import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import { bundleCacheDir, demoModelDir } from '@tessera/testing/demo-model/files';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import type { Cut } from '../cut.js';
import { ensureBundle } from '../ensure-bundle.js';
import { type TensorContent, writeSafetensors } from './write-safetensors.js';

export interface SmallLlamaOptions {
  readonly layers?: number;
  readonly tied?: boolean;
}

const [width, inner, heads, kvHeads, headDim] = [64, 96, 4, 2, 16] as const;

/**
 * Writes a dense LLaMA with the demo model's words and random weights, the same each time: it says nothing sensible, but each
 * token depends on all before it.
 * @param dir made where it is not there
 */
export async function writeSmallLlama(
  dir: string,
  { layers = 5, tied = false }: SmallLlamaOptions = {},
): Promise<void> {
  await mkdir(dir, { recursive: true });
  const { text_config } = JSON.parse(await readFile(join(demoModelDir, 'config.json'), 'utf8'));
  const { vocab_size: vocabulary, eos_token_id } = text_config as { vocab_size: number; eos_token_id: number };
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: vocabulary,
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: tied,
    rope_parameters: { rope_type: 'default', rope_theta: 10000 },
    eos_token_id,
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(demoModelDir, name), join(dir, name));
  const random = seededRandom(64);
  const tensors: Record<string, TensorContent> = {};
  const add = (name: string, ...shape: number[]): void => {
    const [to, from] = shape;
    // Neither do hidden states die in the layers, nor does what a layer adds.
    const scale = from === undefined ? 0 : Math.sqrt(3 / from);
    const count = (to as number) * (from ?? 1);
    const data = Float32Array.from({ length: count }, () => (scale === 0 ? 1 : (2 * random() - 1) * scale));
    tensors[`${name}.weight`] = { dtype: 'F32', shape, data: new Uint8Array(data.buffer) };
  };
  add('model.embed_tokens', vocabulary, width);
  for (let layer = 0; layer < layers; layer++) {
    const at = (name: string): string => `model.layers.${layer}.${name}`;
    add(at('input_layernorm'), width);
    add(at('self_attn.q_proj'), heads * headDim, width);
    add(at('self_attn.k_proj'), kvHeads * headDim, width);
    add(at('self_attn.v_proj'), kvHeads * headDim, width);
    add(at('self_attn.o_proj'), width, heads * headDim);
    add(at('post_attention_layernorm'), width);
    add(at('mlp.gate_proj'), inner, width);
    add(at('mlp.up_proj'), inner, width);
    add(at('mlp.down_proj'), width, inner);
  }
  add('model.norm', width);
  if (!tied) add('lm_head', vocabulary, width);
  await writeSafetensors(join(dir, 'model.safetensors'), tensors);
}

/** Such a model, compiled in float32. */
export async function smallLlamaBundle(cut?: Cut, options: SmallLlamaOptions = {}): Promise<Bundle> {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-small-'));
  try {
    const checkpoint = join(folder, 'small-llama');
    await writeSmallLlama(checkpoint, options);
    return await readBundle((await ensureBundle(checkpoint, bundleCacheDir, { weights: 'float32', cut })).dir);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
