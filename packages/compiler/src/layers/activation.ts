import { z } from 'zod';
import { microsoft, type Value } from '../graph/index.js';

const relu = (x: Value): Value => x.graph.node('Relu', [x])[0] as Value;
/** x * sigmoid(x): QuickGelu with alpha 1 is that in one pass. */
export const silu = (x: Value): Value =>
  x.graph.node('QuickGelu', [x], { alpha: { float: 1 } }, { domain: microsoft })[0] as Value;
/** x * Phi(x), exactly. */
const gelu = (x: Value): Value => x.graph.node('Gelu', [x], { approximate: 'none' })[0] as Value;
export const geluTanh = (x: Value): Value => x.graph.node('Gelu', [x], { approximate: 'tanh' })[0] as Value;
export const sigmoid = (x: Value): Value => x.graph.node('Sigmoid', [x])[0] as Value;
export const softmax = (x: Value): Value => x.graph.node('Softmax', [x], { axis: -1 })[0] as Value;

/** Activations by the names that published configs use. */
export const activations = {
  relu,
  silu,
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  'gelu-approximate': geluTanh,
} as const;

export type ActivationName = keyof typeof activations;
export const activationName = z.enum(Object.keys(activations) as [ActivationName]);
