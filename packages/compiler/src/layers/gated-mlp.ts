import type { Module } from '../checkpoint/parameters.js';
import { mul, type Value } from '../graph/index.js';
import { type ActivationName, activations } from './activation.js';
import { linear } from './linear.js';

/** The three linear layers, wherever a checkpoint keeps them. */
export interface GatedMlpModules {
  readonly gate: Module;
  readonly up: Module;
  readonly down: Module;
}

export interface GatedMlpOptions {
  readonly width: number;
  readonly inner: number;
  readonly activation: ActivationName;
  /** Of all three linear layers; by default none. */
  readonly bias?: boolean;
}

/** down(act(gate(x)) * up(x)), the feed-forward layer of LLaMA and its kin: x [..., width] -> [..., width]. */
export function gatedMlp(x: Value, modules: GatedMlpModules, options: GatedMlpOptions): Value {
  const { width, inner, activation, bias = false } = options;
  const into = { from: width, to: inner, bias };
  const gate = activations[activation](linear(x, modules.gate, into));
  const up = linear(x, modules.up, into);
  return linear(mul(gate, up), modules.down, { from: inner, to: width, bias });
}
