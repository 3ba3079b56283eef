import {
  type ChatRequest,
  type ChatResponse,
  ChatServiceDefinition,
  type ChatServiceDescribeResponse,
  type ChatStart,
  type MediaPart,
  TesseraError,
} from '@tessera/protocol';
import { type GrpcService, grpcService } from '@tessera/service';
import { clientName } from './admission/client-name.js';
import type { Chat } from './request/chat.js';
import { ChatSpan } from './request/chat-span.js';
import { unlessLeaving } from './request/leaving.js';
import { withinPause } from './request/within-pause.js';

/** The largest part of a media item; what fits into a NATS message fits here too. */
export const maxPartBytes = 512 * 1024;

export interface ChatServiceOptions {
  readonly drain: AbortSignal;
  /** Told when the first text of an answer leaves, how long after its request came. */
  readonly onFirstText: (afterMs: number) => void;
  /** How long a client may pause before its first message. */
  readonly pauseMs: number;
  /** The metadata key that names the client; absent: its address does. */
  readonly clientKey: string | undefined;
}

/** Renders the chat core as gRPC. */
export function chatService(
  chat: Chat,
  describe: ChatServiceDescribeResponse,
  { drain, pauseMs, clientKey, onFirstText }: ChatServiceOptions,
): GrpcService {
  return grpcService(
    ChatServiceDefinition,
    {
      async describe() {
        return describe;
      },
      async *chat(requests, context): AsyncGenerator<ChatResponse> {
        const incoming = requests[Symbol.asyncIterator]();
        const { signal, deadlineMs, arrival } = context;
        const start = await firstMessage(incoming, pauseMs, signal);
        const call = { client: clientName(context, clientKey), signal, deadlineMs, arrival };
        using span = new ChatSpan(describe.model?.name ?? '', start, onFirstText);
        let drainTold = false;
        try {
          for await (const event of span.within(() => chat.answer(start, mediaParts(incoming), call))) {
            span.note(event);
            if (drain.aborted && !drainTold) {
              drainTold = true;
              yield { event: { $case: 'drain', value: {} } };
            }
            // From here on errors tell the caller which request they are about.
            if (event.$case === 'accepted') context.setRequestId(event.value.requestId);
            yield { event };
          }
        } catch (reason) {
          span.failed(reason);
          throw reason;
        }
      },
    },
    { onArrival: (path) => (path.endsWith('/Chat') ? chat.arrive() : undefined) },
  );
}

async function firstMessage(
  requests: AsyncIterator<ChatRequest>,
  pauseMs: number,
  signal: AbortSignal,
): Promise<ChatStart> {
  const first = await withinPause(requests.next(), pauseMs, signal);
  if (first.done === true) {
    await unlessLeaving(signal);
    throw invalid('start', 'the stream was closed before its first message; send `start` first');
  }
  if (first.value.body?.$case !== 'start') throw invalid('start', 'the first message of the stream must be `start`');
  return first.value.body.value;
}

async function* mediaParts(requests: AsyncIterator<ChatRequest>): AsyncGenerator<MediaPart> {
  for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
    if (next.value.body?.$case !== 'mediaPart')
      throw invalid('media_part', 'after `start` only `media_part` may be sent');
    yield next.value.body.value;
  }
}

function invalid(field: string, message: string): TesseraError {
  return new TesseraError('REQUEST_INVALID', message, { field });
}
