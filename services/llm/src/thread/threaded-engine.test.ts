// Threads run built JavaScript, so the engine under test is the built one.

import { demoBundleDir, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { Llm, type LlmEngine, type ThreadedEngine } from '@tessera/llm';
import { GenerateRequest, TesseraError, TextOptions } from '@tessera/protocol';
import { goldenCase, goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asked, collect, testLimits, user, wholePicture } from '../testing/demo-engine.js';

let llm: Llm<ThreadedEngine>;
let nextId = 0;

const open = async (modelDir: string): Promise<Llm<ThreadedEngine>> =>
  Llm.inThread({ modelDir, session: { threads: 1, device: 'cpu' }, limits: testLimits });

beforeAll(async () => {
  llm = await open(await demoBundleDir());
});

afterAll(() => llm.close());

const ask = (partial: Partial<GenerateRequest>): GenerateRequest =>
  GenerateRequest.fromPartial({ requestId: `thread-${nextId++}`, attempt: 1, ...partial });
const soon = (): number => Date.now() + 60_000;

test('the thread answers as the engine in this one does, while this thread stays free', async () => {
  const picture = await goldenTensor('apple.visual_tokens');
  if (picture === undefined) throw new Error('no picture');
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const apple = goldenCases.filter(({ image }) => image === null || image === 'apple.png');
  const answers = await Promise.all(
    apple.map(({ image, question }) => {
      const content = image === null ? [question] : [0, question];
      const request = ask({ prompt: asked(user(...content)), media: image === null ? [] : [wholePicture] });
      const events = llm.generate(request, soon());
      const tile = { requestId: request.requestId, item: 0, tile: 0, tokens: picture, timings: [] };
      if (image !== null) llm.engine.provideTile(tile);
      return collect(events);
    }),
  );
  clearInterval(timer);
  for (const [index, { id, output_ids }] of apple.entries()) expect(answers[index]?.tokenIds, id).toEqual(output_ids);
  expect(turns).toBeGreaterThan(5);
  // Given away was a copy.
  expect(picture.data.length).toBe(9 * 256);
  expect(llm.engine.stats()).toMatchObject({ running: 0, waiting: 0, slotsInUse: 0, heldTiles: 0 });
});

test('errors cross with code, delay and field; cancel and failure reach their request', async () => {
  const requests = ['a', 'b'].map(() => ask({ prompt: asked(user(0, 'What is this?')), media: [wholePicture] }));
  const answers = requests.map((request) => collect(llm.generate(request, soon())));
  llm.engine.cancel(requests[0]?.requestId ?? '');
  const error = new TesseraError('QUEUE_FULL', 'the encoder is busy', {
    retryAfterMs: 77,
    field: 'media[0]',
    stage: 'encoder',
  });
  llm.engine.failTile({ requestId: requests[1]?.requestId ?? '', item: 0, attempt: 1, error });
  expect((await answers[0])?.error).toMatchObject({ code: 'CANCELLED' });
  expect((await answers[1])?.error).toMatchObject({
    code: 'QUEUE_FULL',
    options: { retryAfterMs: 77, field: 'media[0]', stage: 'encoder' },
  });
});

test('a reader who leaves frees the thread', async () => {
  const text = TextOptions.fromPartial({ maxTokens: 1500, temperature: 50, seed: 1n });
  for await (const event of llm.generate(ask({ prompt: asked(user('Hello!')), text }), soon())) {
    if (event.type === 'tokens') break;
  }
  const next = await collect(llm.generate(ask({ prompt: asked(user(goldenCase('text.0').question)) }), soon()));
  expect(next.tokenIds).toEqual(goldenCase('text.0').output_ids);
  expect(llm.engine.stats()).toMatchObject({ running: 0, waiting: 0 });
});

test('a model that cannot be loaded refuses the start with its own error', async () => {
  await expect(open('/nowhere')).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  const limits = { ...testLimits, maxStepTokens: 1 };
  const config = { modelDir: await demoBundleDir(), session: { threads: 1, device: 'cpu' as const }, limits };
  await expect(Llm.inThread(config)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('the same class without a thread gives the same answer', async () => {
  const config = {
    modelDir: await demoBundleDir(),
    session: { threads: 1, device: 'cpu' as const },
    limits: testLimits,
  };
  const direct: Llm<LlmEngine> = await Llm.inProcess(config);
  const { question, output_ids } = goldenCase('text.1');
  expect((await collect(direct.generate(ask({ prompt: asked(user(question)) }), soon()))).tokenIds).toEqual(output_ids);
  await direct.close();
});
