import { withDrain } from '@tessera/flow';
import {
  type AnswerEvent,
  ChatServiceDefinition,
  type ChatServiceDescribeResponse,
  type ChatStart,
  type ListModelsRequest,
  type ListModelsResponse,
  type MediaPart,
  type ModelInfo,
  TesseraError,
} from '@tessera/protocol';
import { type GrpcService, grpcService, type TesseraCallContext, withinPause } from '@tessera/service';
import { clientName } from '../admission/client-name.js';
import { type Chat, requireModel } from '../chat.js';
import { unlessLeaving } from '../intake/leaving.js';
import { ChatSpan } from './chat-span.js';

export interface ChatServiceOptions {
  readonly drain: AbortSignal;
  /** Told when the first text of an answer leaves, how long after its request came. */
  readonly onFirstText: (afterMs: number) => void;
  /** How long a client may pause before its first message. */
  readonly pauseMs: number;
  /** The metadata key that names the client; absent: its address does. */
  readonly clientKey: string | undefined;
}

/** What a call begins with, and what follows it on the same stream. */
interface Question<Start = ChatStart> {
  readonly start: Start;
  readonly parts: AsyncIterable<MediaPart>;
}

/** One message of a stream that begins with `start`. */
interface Streamed<Start> {
  readonly body?:
    | { readonly $case: 'start'; readonly value: Start }
    | { readonly $case: 'mediaPart'; readonly value: MediaPart }
    | undefined;
}

/** Renders the chat core as gRPC. */
export function chatService(
  chat: Chat,
  description: ChatServiceDescribeResponse & { readonly model: { readonly info: ModelInfo } },
  { drain, pauseMs, clientKey, onFirstText }: ChatServiceOptions,
): GrpcService {
  const { info } = description.model;

  /** The events of an answer, numbered as they leave. */
  async function* answer(
    ask: (signal: AbortSignal) => Promise<Question>,
    context: TesseraCallContext,
  ): AsyncGenerator<{ event: AnswerEvent }> {
    const { signal, deadlineMs, arrival } = context;
    const { start, parts } = await ask(signal);
    const call = { client: clientName(context, clientKey), signal, deadlineMs, arrival };
    using span = new ChatSpan(info.name, start, onFirstText);
    let sequence = 0n;
    const numbered = (event: NonNullable<AnswerEvent['event']>) => ({ event: { sequence: ++sequence, event } });
    const drained = { $case: 'drain', value: {} } as const;
    // `accepted` is the first event, whatever happens.
    let isAccepted = false;
    let isDrainUntold = false;
    try {
      const events = span.within(() => chat.answer(start, parts, call));
      for await (const event of withDrain(events, drain)) {
        if (event === 'drain') {
          if (isAccepted) yield numbered(drained);
          else isDrainUntold = true;
          continue;
        }
        span.note(event);
        if (event.$case === 'accepted') {
          isAccepted = true;
          // From here on errors tell the caller which request they are about.
          context.setRequestId(event.value.requestId);
        }
        yield numbered(event);
        if (isAccepted && isDrainUntold) {
          isDrainUntold = false;
          yield numbered(drained);
        }
      }
    } catch (reason) {
      span.failed(reason);
      throw fromRoot(reason);
    }
  }

  return grpcService(
    ChatServiceDefinition,
    {
      async listModels(request) {
        return listModels(request, description);
      },
      async describe({ model }) {
        requireModel(model, info);
        return description;
      },
      chat: (requests, context) => answer((signal) => streamed(requests, pauseMs, signal), context),
      respond: ({ start }, context) => answer(async () => inOneMessage(start), context),
      upload: async (requests, context) => {
        const { signal, deadlineMs, arrival } = context;
        const { start, parts } = await streamed(requests, pauseMs, signal);
        if (start.media === undefined) throw invalid('start.media', 'is missing');
        const call = { client: clientName(context, clientKey), signal, deadlineMs, arrival };
        return chat.upload(start.media, parts, call).catch((reason: unknown) => {
          throw fromRoot(reason);
        });
      },
      // biome-ignore lint/correctness/useYield: the contract has a stream here.
      async *resume() {
        throw notBuilt('Resume');
      },
    },
    { onArrival: (path) => (/\/(Chat|Respond)$/.test(path) ? chat.arrive() : undefined) },
  );
}

/** Below the door fields are those of `start`; only of the parts that follow it they are the whole message's already. */
function fromRoot(reason: unknown): TesseraError {
  const error = TesseraError.from(reason);
  return error.field?.startsWith('media_part') ? error : error.under('start');
}

function notBuilt(method: string): TesseraError {
  return new TesseraError('UNSUPPORTED', `${method} is not built yet`);
}

/** There is one, so there is one page. */
function listModels(
  { pageSize, pageToken }: ListModelsRequest,
  { model }: ChatServiceDescribeResponse,
): ListModelsResponse {
  if (pageSize < 0) throw TesseraError.invalidField('page_size', `is ${pageSize}; leave it out, or ask for at least 1`);
  if (pageToken !== '') throw TesseraError.invalidField('page_token', 'is of no list that this service gave out');
  return { models: model === undefined ? [] : [model], nextPageToken: '' };
}

/** What a client streams: `start`, then parts. */
async function streamed<Start>(
  requests: AsyncIterable<Streamed<Start>>,
  pauseMs: number,
  signal: AbortSignal,
): Promise<Question<Start>> {
  const incoming = requests[Symbol.asyncIterator]();
  return { start: await firstMessage(incoming, pauseMs, signal), parts: mediaParts(incoming) };
}

function inOneMessage(start: ChatStart | undefined): Question {
  if (start === undefined) throw invalid('start', 'is missing');
  const later = start.media.findIndex(({ source }) => source?.$case === 'parts');
  if (later >= 0) {
    throw TesseraError.invalidField(
      `start.media[${later}].parts`,
      'says that bytes will follow, but Respond takes one message; send them inline, or call Chat',
    );
  }
  return { start, parts: nothingMore() };
}

async function* nothingMore(): AsyncGenerator<never> {}

async function firstMessage<Start>(
  requests: AsyncIterator<Streamed<Start>>,
  pauseMs: number,
  signal: AbortSignal,
): Promise<Start> {
  const first = await withinPause(requests.next(), { pauseMs, signal });
  if (first.done === true) {
    await unlessLeaving(signal);
    throw invalid('start', 'the stream was closed before its first message; send `start` first');
  }
  if (first.value.body?.$case !== 'start') throw invalid('start', 'the first message of the stream must be `start`');
  return first.value.body.value;
}

async function* mediaParts(requests: AsyncIterator<Streamed<unknown>>): AsyncGenerator<MediaPart> {
  for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
    if (next.value.body?.$case !== 'mediaPart')
      throw invalid('media_part', 'after `start` only `media_part` may be sent');
    yield next.value.body.value;
  }
}

function invalid(field: string, message: string): TesseraError {
  return new TesseraError('REQUEST_INVALID', message, { field });
}
