import type { ChatResponse } from '@tessera/protocol';
import type { Call } from './call.js';
import type { ChatEvent } from './chat-event.js';
import type { ChatRequest } from './chat-request.js';
import type { FetchOptions } from './connect-options.js';
import { type EncodedRequest, encodeRequest, type RequestStream, requestStream } from './encode-request.js';
import { EventReader } from './event-reader.js';

/** Events that are of the answer itself: once one of them is told, the call is not made again. */
const answering: ReadonlySet<ChatEvent['type']> = new Set(['item_started', 'text', 'draw_progress', 'picture']);

/**
 * The events of an answer, over all attempts to get it. Nothing is done before the first is asked for.
 * @param open begins the call; the deadline counts from there
 * @param send makes one attempt
 * @throws TesseraError
 */
export async function* chatEvents(
  request: ChatRequest,
  open: () => Call,
  send: (messages: RequestStream, call: Call) => AsyncIterable<ChatResponse>,
  fetchOptions: FetchOptions,
): AsyncGenerator<ChatEvent, void, undefined> {
  using call = open();
  try {
    const encoded = await encodeRequest(request, fetchOptions, call.signal);
    for (;;) {
      const failure = yield* attempt(encoded);
      if (failure === undefined) return;
      yield { type: 'retrying', ...failure, attempt: call.attempt + 1 };
      await call.pause(failure.pauseMs);
    }
  } catch (reason) {
    throw call.errorOf(reason);
  }

  /** @returns the failure after which the call is made again */
  async function* attempt(encoded: EncodedRequest) {
    const reader = new EventReader();
    let isAnswering = false;
    let isFinished = false;
    try {
      for await (const response of send(requestStream(encoded), call)) {
        const event = reader.read(response.event);
        if (event === undefined) continue;
        isAnswering ||= answering.has(event.type);
        isFinished ||= event.type === 'finished';
        yield event;
      }
      return undefined;
    } catch (reason) {
      // How a stream ends that has said all is of no account: the answer is there.
      if (isFinished) return undefined;
      const error = call.errorOf(reason);
      const pauseMs = isAnswering ? undefined : call.pauseMs(error);
      if (pauseMs === undefined) throw error;
      return { error, pauseMs };
    }
  }
}
