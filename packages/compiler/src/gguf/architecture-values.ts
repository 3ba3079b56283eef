import type { Metadata } from './metadata.js';

/** Values of an architecture, without its name before them, that change no number here. */
const ofNoMatter = new Set([
  'rope.scaling.finetuned',
  'tensor_data_layout',
  /** Said by the tensor itself. */
  'vocab_size',
  'expert_feed_forward_length',
  'expert_shared_feed_forward_length',
]);

/** Those that ask for nothing where they have this value. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  'attention.causal': [true],
  'attention.scale': [0],
  attention_scale: [0],
  embedding_scale: [1],
  /** Softmax. */
  expert_gating_func: [0, 1],
  expert_group_count: [0, 1],
  expert_group_used_count: [0, 1],
  expert_weights_scale: [0, 1],
  logit_scale: [0, 1],
  residual_scale: [0, 1],
  'rope.scaling.attn_factor': [1],
  'rope.scaling.yarn_ext_factor': [1],
  'rope.scaling.yarn_attn_factor': [1],
  'rope.scaling.yarn_log_multiplier': [0],
  use_parallel_residual: [false],
};

/**
 * A number of 32 bits as a config.json would have it: 0.00001, where its bits say 0.000009999999747378752. In float32 it is the
 * same again.
 */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** Reads the values of one architecture, and knows in the end which ones nobody asked for. */
export class ArchitectureValues {
  private readonly asked = new Set<string>();

  constructor(
    private readonly metadata: Metadata,
    private readonly architecture: string,
  ) {}

  number(name: string): number | undefined {
    const value = this.metadata.number(this.key(name));
    return value === undefined ? undefined : shortest(value);
  }

  text(name: string): string | undefined {
    return this.metadata.text(this.key(name));
  }

  flag(name: string): boolean | undefined {
    return this.metadata.flag(this.key(name));
  }

  required(name: string): number {
    const key = this.key(name);
    return this.metadata.required(key, this.number(name));
  }

  /** A number that may be given for each layer: it must be the same for all. */
  ofEveryLayer(name: string): number | undefined {
    const key = this.key(name);
    if (!ArrayBuffer.isView(this.metadata.get(key))) return this.number(name);
    const values = Array.from(this.metadata.numbers(key) ?? []);
    if (new Set(values).size === 1) return values[0];
    throw this.problem(name, 'differs from layer to layer, which is not supported');
  }

  problem(name: string, what: string): Error {
    return this.metadata.problem(this.key(name), what);
  }

  /** Refuses what asks for something that is not built. */
  refuseOthers(): void {
    const prefix = this.key('');
    for (const key of this.metadata.keys()) {
      const name = key.slice(prefix.length);
      if (!key.startsWith(prefix) || this.asked.has(key) || ofNoMatter.has(name)) continue;
      const value = this.metadata.get(key);
      if (neutral[name]?.includes(value) || value === false) continue;
      throw this.problem(name, `is ${describe(value)}, which is not supported`);
    }
  }

  private key(name: string): string {
    const key = `${this.architecture}.${name}`;
    this.asked.add(key);
    return key;
  }
}

function describe(value: unknown): string {
  return typeof value === 'object' ? 'a list' : String(value).slice(0, 100);
}
