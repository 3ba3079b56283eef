import type { Llm, ThreadedEngine } from '@tessera/llm';
import { GenerateRequest, Role, TextOptions } from '@tessera/protocol';

/** An engine in its thread, with what prepares its requests. */
export type WritingEngine = Pick<Llm<ThreadedEngine>, 'engine' | 'prepare'>;

const timeoutMs = 120_000;
let nextId = 0;

/** An answer of exactly so many tokens, greedy. Resolves with the milliseconds to its first token. */
export async function write(llm: WritingEngine, words: string, tokens: number): Promise<number> {
  const request = GenerateRequest.fromPartial({
    requestId: `bench-${nextId++}`,
    attempt: 1,
    prompt: {
      $case: 'conversation',
      value: { messages: [{ role: Role.USER, content: [{ part: { $case: 'text', value: words } }] }] },
    },
  });
  request.text = TextOptions.fromPartial({ maxTokens: tokens, minTokens: tokens, temperature: 0 });
  const startedMs = performance.now();
  let firstMs = 0;
  for await (const event of llm.engine.submit(llm.prepare(request, Date.now() + timeoutMs))) {
    if (event.type === 'tokens' && firstMs === 0) firstMs = performance.now() - startedMs;
  }
  return firstMs;
}

/** Milliseconds of a step while so many sequences write as many tokens. */
export async function stepMs(llm: WritingEngine, sequences: number, tokens: number): Promise<number> {
  const before = llm.engine.stats();
  await Promise.all(Array.from({ length: sequences }, () => write(llm, 'Hello!', tokens)));
  const { steps, busyMs } = llm.engine.stats();
  return (busyMs - before.busyMs) / (steps - before.steps);
}
