import { type Float32Tensor, tensor } from '@tessera/protocol';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { expect, test } from 'vitest';
import { Module } from '../checkpoint/parameters.js';
import { GraphBuilder } from '../graph/index.js';
import { InventedParameters, runGraph } from '../testing/run-graph.js';
import { gatedMlp } from './gated-mlp.js';
import { mixtureOfExperts } from './mixture-of-experts.js';

const [experts, chosen, width, inner] = [6, 3, 32, 48];
const source = new InventedParameters(0.5);

function graph(normalize: boolean): GraphBuilder {
  const g = new GraphBuilder('moe', 'float32');
  const x = g.input('x', 'float32', ['rows', width]);
  const scores = g.input('scores', 'float32', ['rows', experts]);
  const root = new Module(source);
  const mixed = mixtureOfExperts(
    x,
    scores,
    (index, rows) => {
      const module = root.at(`experts.${index}`);
      const modules = { gate: module.at('gate_proj'), up: module.at('up_proj'), down: module.at('down_proj') };
      return gatedMlp(rows, modules, { width, inner, activation: 'silu' });
    },
    { experts, chosen, width, normalize },
  );
  g.output('y', mixed, 'float32', ['rows', width]);
  return g;
}

/** weight [to, from] times x. */
function multiply(weight: Float32Array, x: Float32Array): Float32Array {
  const from = x.length;
  return Float32Array.from({ length: weight.length / from }, (_, row) =>
    x.reduce((sum, value, i) => sum + value * (weight[row * from + i] as number), 0),
  );
}

/** What the layer means, said the long way. */
async function reference(x: Float32Array, scores: Float32Array, normalize: boolean): Promise<Float32Array> {
  const exponentials = scores.map((score) => Math.exp(score));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  const best = [...exponentials.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number)).slice(0, chosen);
  const kept = normalize ? best.reduce((sum, index) => sum + (exponentials[index] as number), 0) : total;
  const y = new Float32Array(width);
  for (const index of best) {
    const gate = multiply(await source.values(`experts.${index}.gate_proj.weight`, inner, width), x);
    const up = multiply(await source.values(`experts.${index}.up_proj.weight`, inner, width), x);
    const hidden = gate.map((value, i) => (value / (1 + Math.exp(-value))) * (up[i] as number));
    const answer = multiply(await source.values(`experts.${index}.down_proj.weight`, width, inner), hidden);
    for (const [i, value] of answer.entries())
      y[i] = (y[i] as number) + (value * (exponentials[index] as number)) / kept;
  }
  return y;
}

const wave = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 2.3 + seed));

test.each([true, false])('each row gets the sum of its experts, shares normalised: %s', async (normalize) => {
  const rows = 9;
  const [x, scores] = [wave(rows * width, 1), wave(rows * experts, 5)];
  // The last expert is chosen by nobody: its piece has no rows.
  for (let row = 0; row < rows; row++) scores[row * experts + experts - 1] = -50;
  const feeds = { x: tensor('float32', [rows, width], x), scores: tensor('float32', [rows, experts], scores) };
  const [result] = (await runGraph(graph(normalize), 'y', [feeds])) as [Float32Tensor];
  for (let row = 0; row < rows; row++) {
    const own = [
      x.subarray(row * width, (row + 1) * width),
      scores.subarray(row * experts, (row + 1) * experts),
    ] as const;
    const actual = result.data.subarray(row * width, (row + 1) * width);
    expect(relativeErrors(actual, await reference(...own, normalize)).max).toBeLessThan(1e-5);
  }
});

test('a row alone gets what it gets among others', async () => {
  const rows = 16;
  const [x, scores] = [wave(rows * width, 2), wave(rows * experts, 3)];
  const part = (from: number, to: number) => ({
    x: tensor('float32', [to - from, width], x.slice(from * width, to * width)),
    scores: tensor('float32', [to - from, experts], scores.slice(from * experts, to * experts)),
  });
  const [whole, single] = (await runGraph(graph(true), 'y', [part(0, rows), part(7, 8)])) as [
    Float32Tensor,
    Float32Tensor,
  ];
  expect(relativeErrors(single.data, whole.data.slice(7 * width, 8 * width)).max).toBeLessThan(1e-6);
});
