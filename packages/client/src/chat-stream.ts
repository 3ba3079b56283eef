import { TesseraError } from '@tessera/protocol';
import { type Answer, AnswerBuilder } from './answer.js';
import type { ChatEvent } from './chat-event.js';

/**
 * An answer on its way. Read it event by event with `for await`, once, or as a whole with `answer()`, or both. The call is
 * made when reading begins; leaving the loop early cancels it.
 */
export class ChatStream implements AsyncIterable<ChatEvent> {
  private isRead = false;
  private complete!: (answer: Answer) => void;
  private fail!: (reason: unknown) => void;
  private readonly whole = new Promise<Answer>((resolve, reject) => {
    this.complete = resolve;
    this.fail = reject;
  });

  /** @internal */
  constructor(private readonly events: AsyncGenerator<ChatEvent>) {
    // Whoever reads events hears of a failure there, and need not ask for the whole.
    this.whole.catch(() => undefined);
  }

  /**
   * The events, as they come.
   * @throws TesseraError what the server says, STAGE_UNAVAILABLE where it cannot be reached, DEADLINE_EXCEEDED, or
   * CANCELLED once the signal has aborted
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatEvent, void, undefined> {
    if (this.isRead) throw new TesseraError('REQUEST_INVALID', 'the events of an answer can be read once only');
    this.isRead = true;
    const builder = new AnswerBuilder();
    let answer: Answer | undefined;
    try {
      for await (const event of this.events) {
        answer = builder.add(event) ?? answer;
        if (answer !== undefined) this.complete(answer);
        yield event;
      }
      if (answer === undefined) {
        throw new TesseraError('INTERNAL', 'the server ended the answer without its first or last event');
      }
    } catch (reason) {
      this.fail(reason);
      throw reason;
    } finally {
      this.fail(new TesseraError('CANCELLED', 'the answer was left before its end'));
    }
  }

  /**
   * The whole answer, once it is there; reads the events where nobody does.
   * @throws TesseraError as reading the events does, and CANCELLED where their loop was left early
   */
  answer(): Promise<Answer> {
    if (!this.isRead) void this.readAll().catch(() => undefined);
    return this.whole;
  }

  private async readAll(): Promise<void> {
    for await (const _event of this);
  }
}
