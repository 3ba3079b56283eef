import { argmax, Decoder } from '@tessera/compiler/testing/decoder';
import { layerOutput } from '@tessera/compiler/testing/layer-outputs';
import type { Float32Tensor } from '@tessera/protocol';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CompiledFixture, fixtureNames, type Reference, readReference } from './fixture.js';

/** Of the largest value of the seam; less than 3e-6 is measured. */
const bound = 1e-3;

describe.each(fixtureNames)('%s in float32 computes what transformers computes', (name) => {
  let fixture: CompiledFixture;
  let reference: Reference;
  const decoder = (sequences = 1): Decoder =>
    new Decoder(fixture.served, fixture.llm, { sequences, capacity: fixture.llm.maxPositions });
  const row = (values: Float32Array, index: number): Float32Array =>
    values.subarray(index * fixture.llm.vocabSize, (index + 1) * fixture.llm.vocabSize);
  const expectClose = (actual: Float32Array, expected: Float32Array, what: string): void =>
    expect(relativeErrors(actual, expected).max, what).toBeLessThan(bound);

  beforeAll(async () => {
    reference = await readReference(name);
    fixture = await CompiledFixture.create(name, 'float32');
  });

  afterAll(() => fixture[Symbol.asyncDispose]());

  test('the hidden state after each layer, and after the last norm', async () => {
    const shown = new Decoder(fixture.withLayers, fixture.llm, { sequences: 1, capacity: fixture.llm.maxPositions });
    const outputs = reference.layers.map((_, layer) => layerOutput(layer));
    const { hidden, more } = await shown.step([0], [reference.prompt], { more: outputs });
    expect(fixture.llm.layers).toBe(reference.layers.length);
    for (const [layer, expected] of reference.layers.entries()) {
      expectClose((more[layerOutput(layer)] as Float32Tensor).data, expected, `after layer ${layer}`);
    }
    expectClose(hidden.data, reference.hidden, 'after the last norm');
  });

  test('logits at every position of the prompt', async () => {
    for (const position of reference.prompt.keys()) {
      const { logits } = await decoder().step([0], [reference.prompt.slice(0, position + 1)]);
      expectClose(logits.data, row(reference.logits, position), `at position ${position}`);
    }
  });

  test('the greedy continuation, and the logits after each of its tokens', async () => {
    const single = decoder();
    let { logits } = await single.step([0], [reference.prompt]);
    for (const [step, token] of reference.continuation.entries()) {
      expect(argmax(logits.data), `token ${step}`).toBe(token);
      ({ logits } = await single.step([0], [[token]]));
      expectClose(logits.data, row(reference.stepLogits, step), `after token ${step}`);
    }
  });

  test('the same logits where the prompt comes in chunks, and beside another sequence', async () => {
    const { prompt, continuation } = reference;
    const both = decoder(2);
    const whole = [...prompt, ...continuation];
    await both.step([0], [whole.slice(0, 5)]);
    const chunked = await both.step([0], [whole.slice(5, prompt.length)]);
    expectClose(chunked.logits.data, row(reference.logits, prompt.length - 1), 'after the second chunk');
    await both.step([1], [prompt.slice(0, 11)]);
    const { logits } = await both.step([1, 0], [[prompt[11] as number], [continuation[0] as number]]);
    expectClose(row(logits.data, 0), row(reference.logits, 11), 'the other sequence');
    expectClose(row(logits.data, 1), row(reference.stepLogits, 0), 'the first one');
  });
});
