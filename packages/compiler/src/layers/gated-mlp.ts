import type { Module } from '../checkpoint/parameters.js';
import { type ActivationName, activations, linear, mul, type Value } from '../graph/index.js';

export interface GatedMlpOptions {
  readonly width: number;
  readonly inner: number;
  readonly activation: ActivationName;
}

/** down(act(gate(x)) * up(x)), the feed-forward layer of LLaMA and its kin: x [..., width] -> [..., width]. */
export function gatedMlp(x: Value, module: Module, { width, inner, activation }: GatedMlpOptions): Value {
  const into = { from: width, to: inner, bias: false };
  const gate = activations[activation](linear(x, module.at('gate_proj'), into));
  const up = linear(x, module.at('up_proj'), into);
  return linear(mul(gate, up), module.at('down_proj'), { from: inner, to: width, bias: false });
}
