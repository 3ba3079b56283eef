import type { Architecture } from './architecture.js';
import type { StoredTensor } from './gguf-file.js';

/** A tensor as a checkpoint has it: rows of one that a file stores, maybe in another order. */
export interface PublishedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly stored: StoredTensor;
  /** Of the stored rows. */
  readonly firstRow: number;
  readonly rows: number;
  /** Rows of a head of queries or keys, whose pairs lie beside each other in the file and half a head apart here. */
  readonly turnedHead?: number;
}

const wholeModel: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

const ofLayer: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k: 'self_attn.k_proj',
  attn_k_norm: 'self_attn.k_norm',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  ffn_gate_shexp: 'mlp.shared_expert.gate_proj',
  ffn_up_shexp: 'mlp.shared_expert.up_proj',
  ffn_down_shexp: 'mlp.shared_expert.down_proj',
};

/** Where a family keeps its router and the three layers of an expert. */
const expertNames = {
  mixtral: { router: 'block_sparse_moe.gate', experts: 'block_sparse_moe.experts', gate: 'w1', up: 'w3', down: 'w2' },
  others: { router: 'mlp.gate', experts: 'mlp.experts', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
} as const;

const sharedGate = 'mlp.shared_expert_gate';

/** A layer's number, what it is, an expert's number, and which of both. Numbers are written in one way: 7, not 07. */
const tensorName = /^(?:blk\.(0|[1-9]\d{0,5})\.)?([a-z_]+)(?:\.(0|[1-9]\d{0,5}))?\.(weight|bias)$/;

/** What is no parameter of a checkpoint: the config says it. */
export const ropeDivisorsName = 'rope_freqs.weight';

/** What a file's metadata says of the sizes that tensors are taken apart by. */
export interface ModelSizes {
  readonly layers: number;
  /** Of each layer that has them; 0 where none has. */
  readonly experts: number;
  /** Rows of a head. */
  readonly headDim: number;
}

/**
 * What a stored tensor is called in a checkpoint of the family, and how it lies there; empty for one that such a model does not
 * have. Experts that lie in one tensor become one each: of as many as the model has, since each is an object here.
 */
export function publishedTensors(
  stored: StoredTensor,
  { modelType, turnsNeighbours }: Architecture,
  { layers, experts, headDim }: ModelSizes,
): PublishedTensor[] {
  const as = (name: string, more: Partial<PublishedTensor> = {}): PublishedTensor => {
    return { name, shape: stored.shape, stored, firstRow: 0, rows: stored.rows, ...more };
  };
  const [, layer, base = '', expert, kind] = tensorName.exec(stored.name) ?? [];
  if (layer === undefined) {
    const name = wholeModel[base];
    return name === undefined || expert !== undefined ? [] : [as(`${name}.${kind}`)];
  }
  if (Number(layer) >= layers) return [];
  const names = modelType === 'mixtral' ? expertNames.mixtral : expertNames.others;
  const inLayer = (name: string): string => `model.layers.${layer}.${name}.${kind}`;
  const ofExpert = (part: string, index: number | string): string =>
    inLayer(`${names.experts}.${index}.${names[part as keyof typeof names]}`);

  const [, part, isPacked] = /^ffn_(gate|up|down)(_exps)?$/.exec(base) ?? [];
  if (part !== undefined && isPacked !== undefined) {
    const [count, rows = 0, columns = 0] = stored.shape;
    if (stored.shape.length !== 3 || count !== experts || expert !== undefined) return [];
    return Array.from({ length: experts }, (_, index) =>
      as(ofExpert(part, index), { shape: [rows, columns], firstRow: index * rows, rows }),
    );
  }
  // As older files have them: one by one.
  if (expert !== undefined) {
    return part === undefined || Number(expert) >= experts ? [] : [as(ofExpert(part, Number(expert)))];
  }
  if (base === 'ffn_gate_inp') return [as(inLayer(names.router))];
  // One row, which the file has without its dimension.
  if (base === 'ffn_gate_inp_shexp') return [as(inLayer(sharedGate), { shape: [1, stored.shape.at(-1) as number] })];
  const name = ofLayer[base];
  if (name === undefined) return [];
  const isTurned = turnsNeighbours && (base === 'attn_q' || base === 'attn_k');
  return [as(inLayer(name), isTurned ? { turnedHead: headDim } : {})];
}
