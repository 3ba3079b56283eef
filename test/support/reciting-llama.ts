import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { type TensorContent, writeSafetensors } from '../../packages/compiler/src/testing/write-safetensors.js';

const [width, inner, heads, kvHeads, headDim, layers] = [64, 96, 4, 2, 16, 2];

/**
 * Writes a LLaMA as transformers 5 does, with the chat template in a file of its own and the end of answers in
 * generation_config.json alone. It has the demo model's vocabulary, and answers every question with the tokens given: what its
 * layers compute is multiplied by zero, so that each token decides the next one. Returns its folder.
 */
export async function recitingLlama(folder: string, answer: readonly number[]): Promise<string> {
  const model = join(folder, 'reciting');
  mkdirSync(model);
  const { text_config } = JSON.parse(readFileSync(join(demoModelDir, 'config.json'), 'utf8'));
  const { vocab_size: vocabulary, eos_token_id: end } = text_config as { vocab_size: number; eos_token_id: number };
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
    tie_word_embeddings: false,
    rope_parameters: { rope_type: 'default', rope_theta: 10000 },
  };
  const json = (name: string, value: unknown): void => writeFileSync(join(model, name), JSON.stringify(value));
  json('config.json', config);
  json('generation_config.json', { eos_token_id: end });
  cpSync(join(demoModelDir, 'tokenizer.json'), join(model, 'tokenizer.json'));
  const { chat_template, ...tokenizer } = JSON.parse(readFileSync(join(demoModelDir, 'tokenizer_config.json'), 'utf8'));
  json('tokenizer_config.json', tokenizer);
  writeFileSync(join(model, 'chat_template.jinja'), chat_template);

  const random = seededRandom(1);
  const noise = (count: number): Float32Array => Float32Array.from({ length: count }, () => 2 * random() - 1);
  const zeros = (count: number): Float32Array => new Float32Array(count);
  const ones = (count: number): Float32Array => new Float32Array(count).fill(1);
  const tensors: Record<string, TensorContent> = {};
  const add = (name: string, shape: number[], values: (count: number) => Float32Array): Float32Array => {
    const data = values(shape.reduce((product, size) => product * size, 1));
    tensors[`${name}.weight`] = { dtype: 'F32', shape, data: new Uint8Array(data.buffer) };
    return data;
  };
  for (let layer = 0; layer < layers; layer++) {
    const at = (name: string): string => `model.layers.${layer}.${name}`;
    add(at('input_layernorm'), [width], ones);
    add(at('self_attn.q_proj'), [heads * headDim, width], noise);
    add(at('self_attn.k_proj'), [kvHeads * headDim, width], noise);
    add(at('self_attn.v_proj'), [kvHeads * headDim, width], noise);
    add(at('self_attn.o_proj'), [width, heads * headDim], zeros);
    add(at('post_attention_layernorm'), [width], ones);
    add(at('mlp.gate_proj'), [inner, width], noise);
    add(at('mlp.up_proj'), [inner, width], noise);
    add(at('mlp.down_proj'), [width, inner], zeros);
  }
  add('model.norm', [width], ones);
  const embeddings = add('model.embed_tokens', [vocabulary, width], noise);
  const head = add('lm_head', [vocabulary, width], zeros);
  const last = goldenCase('text.0').input_ids.at(-1) as number;
  for (const [index, token] of [...answer, end].entries()) {
    const before = index === 0 ? last : (answer[index - 1] as number);
    head.set(embeddings.subarray(before * width, (before + 1) * width), token * width);
  }
  await writeSafetensors(join(model, 'model.safetensors'), tensors);
  return model;
}
