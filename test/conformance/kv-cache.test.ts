import { Decoder } from '@tessera/compiler/testing/decoder';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { expect, test } from 'vitest';
import { CompiledFixture, fixtureNames, readReference } from './fixture.js';

/**
 * What a cache of float16 may change in the logits, of the largest value: at every position of the prompt, which comes token by
 * token so that each is computed from what the cache holds, and after each token of the continuation. Measured: 1.5e-4 to 9.3e-4.
 */
const bound = 2e-3;

test.each(fixtureNames)(
  '%s with its cache in float16 stays near to what transformers computes in float32',
  async (name) => {
    const reference = await readReference(name);
    await using fixture = await CompiledFixture.create(name, 'float32', 'float16');
    const { llm, served } = fixture;
    expect(llm.kvCache).toBe('float16');
    const decoder = new Decoder(served, llm, { sequences: 1, capacity: llm.maxPositions });
    const given: number[] = [];
    for (const token of [...reference.prompt, ...reference.continuation]) {
      given.push(...(await decoder.step([0], [[token]])).logits.data);
    }
    const expected = Float32Array.of(...reference.logits, ...reference.stepLogits);
    const { max } = relativeErrors(Float32Array.from(given), expected);
    expect(max).toBeLessThan(bound);
    // It is rounded: in float32 less than 3e-6 is measured.
    expect(max).toBeGreaterThan(1e-5);
  },
);
