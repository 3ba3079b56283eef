import type { Calls, Question, Reply } from './helper.js';

/** Answers what the owner of this process asks, until the owner is gone. */
export function answerCalls(calls: Calls): void {
  process.on('message', async ({ id, name, argument }: Question) => {
    let reply: Reply;
    try {
      reply = { id, result: await calls[name]?.(argument as never) };
    } catch (reason) {
      reply = { id, error: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason) };
    }
    process.send?.(reply);
  });
  process.on('disconnect', () => process.exit());
}
