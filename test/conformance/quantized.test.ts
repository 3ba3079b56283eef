import { Decoder } from '@tessera/compiler/testing/decoder';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { describe, expect, test } from 'vitest';
import { CompiledFixture, fixtureNames, readReference } from './fixture.js';

/**
 * What rounding may change in the logits, in L2 over all positions of the prompt. Measured: 0.014 to 0.029, and 0.12 to 0.27.
 * Random weights are the worst case: nothing in them is redundant, and of 64 columns a row has two scales.
 */
const bounds = {
  int8: 0.05,
  int4: 0.35,
  float16: 2e-3,
  'int8-g128-zp': 0.05,
  'int4-zp': 0.35,
  'int4-g128': 0.45,
} as const;

/** All fixtures in the weights that are most used, two of them in the others: they differ in single layers, which have tests. */
const some = ['llama-head-dim', 'mixtral-top-2'];

describe.each([
  ['int8', fixtureNames],
  ['int4', fixtureNames],
  ['float16', some],
  ['int8-g128-zp', some],
  ['int4-zp', some],
  ['int4-g128', some],
] as const)('in %s', (weights, names) => {
  test.each(names)('%s stays near to what transformers computes in float32', async (name) => {
    const reference = await readReference(name);
    await using fixture = await CompiledFixture.create(name, weights);
    const { llm, served } = fixture;
    const logits = new Float32Array(reference.logits.length);
    for (const position of reference.prompt.keys()) {
      const decoder = new Decoder(served, llm, { sequences: 1, capacity: llm.maxPositions });
      const step = await decoder.step([0], [reference.prompt.slice(0, position + 1)]);
      logits.set(step.logits.data, position * llm.vocabSize);
    }
    const error = relativeErrors(logits, reference.logits).l2;
    expect(error).toBeLessThan(bounds[weights]);
    // A checkpoint in float16 is the same in it.
    if (weights !== 'float16') expect(error).toBeGreaterThan(1e-4);
  });
});
