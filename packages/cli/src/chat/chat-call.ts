import {
  type ChatRequest,
  ChatServiceDefinition,
  type ChatStart,
  type ChoiceFinished,
  type DrawOptions,
  type Finished,
  type FinishReason,
  type RequestState,
  TesseraError,
} from '@tessera/protocol';
import { createClient } from '@tessera/service';
import { ClientError } from 'nice-grpc-common';
import { RichClientError } from 'nice-grpc-error-details';
import { HintedError } from '../hinted-error.js';

/** The size of the parts in which media are sent; the limit of one part is 512 KiB. */
const partBytes = 256 * 1024;

type RequestInput = Parameters<typeof ChatRequest.fromPartial>[0];
type StartInput = Parameters<typeof ChatStart.fromPartial>[0];

export interface ChatCallOptions {
  /** host:port of the gateway's gRPC. */
  readonly address: string;
  readonly messages: StartInput['messages'];
  /** The media that the messages name. */
  readonly media: ReadonlyMap<string, Uint8Array>;
  readonly text?: StartInput['text'];
  readonly draw?: DrawOptions;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface ChatListener {
  onText?(text: string): void;
  onState?(state: RequestState): void;
  onMediaProgress?(step: number, steps: number): void;
}

export interface Picture {
  readonly mimeType: string;
  readonly bytes: Uint8Array;
}

export interface ChatAnswer {
  readonly requestId: string;
  readonly model: string;
  readonly seed: bigint;
  readonly text: string;
  readonly pictures: readonly Picture[];
  readonly reason: FinishReason;
  readonly finished: Finished;
}

async function* requestStream(options: ChatCallOptions): AsyncGenerator<RequestInput> {
  const { messages, text, draw } = options;
  const media = [...options.media].map(([name, bytes]) => ({
    name,
    sizeBytes: BigInt(bytes.length),
    source: { $case: 'parts' as const, value: {} },
  }));
  yield { body: { $case: 'start', value: { messages, media, text, draw } } };
  for (const [name, bytes] of options.media) {
    let at = 0;
    do {
      const data = bytes.subarray(at, at + partBytes);
      at += data.length;
      yield { body: { $case: 'mediaPart', value: { name, data, last: at >= bytes.length } } };
    } while (at < bytes.length);
  }
}

/** A failure to reach the server at all, told as such; any other failure as it is. */
function explained(error: TesseraError, address: string): TesseraError {
  const { cause } = error.options;
  // What a server says carries details; what the connection itself met does not.
  const byServer = cause instanceof RichClientError && cause.extra.length > 0;
  if (error.code !== 'STAGE_UNAVAILABLE' || !(cause instanceof ClientError) || byServer) return error;
  return new HintedError(
    'STAGE_UNAVAILABLE',
    `no server can be reached at ${address}: ${cause.details}`,
    'Start one in another terminal with: tessera up. Or name another with --address, or TESSERA_ADDRESS.',
    error,
  );
}

/**
 * Sends one conversation to a gateway and listens until the answer is complete.
 * @throws TesseraError what the gateway says, or STAGE_UNAVAILABLE when it cannot be reached
 */
export async function callChat(options: ChatCallOptions, listener: ChatListener = {}): Promise<ChatAnswer> {
  const client = createClient(ChatServiceDefinition, options.address);
  const pictures = new Map<number, { mimeType: string; parts: Uint8Array[] }>();
  let requestId = '';
  let model = '';
  let seed = 0n;
  let text = '';
  let end: ChoiceFinished | undefined;
  let finished: Finished | undefined;
  try {
    const { signal, timeoutMs } = options;
    for await (const { event } of client.chat(requestStream(options), { signal, timeoutMs })) {
      const what = event?.event;
      switch (what?.$case) {
        case 'accepted':
          requestId = what.value.requestId;
          model = what.value.model?.name ?? '';
          seed = what.value.seed;
          break;
        case 'stateChanged':
          listener.onState?.(what.value.state);
          break;
        case 'textDelta':
          text += what.value.text;
          listener.onText?.(what.value.text);
          break;
        case 'itemStarted': {
          const { item, content } = what.value;
          if (content?.$case === 'media') pictures.set(item, { mimeType: content.value.mimeType, parts: [] });
          break;
        }
        case 'mediaProgress':
          listener.onMediaProgress?.(what.value.step, what.value.steps);
          break;
        case 'mediaPart':
          pictures.get(what.value.item)?.parts.push(what.value.data);
          break;
        case 'choiceFinished':
          end = what.value;
          break;
        case 'finished':
          finished = what.value;
          break;
      }
    }
  } catch (reason) {
    const error = TesseraError.from(reason);
    throw requestId === '' ? explained(error, options.address) : error;
  } finally {
    client.close();
  }
  if (finished === undefined || end === undefined) {
    throw new Error('the gateway ended the stream without its last events');
  }
  return {
    requestId,
    model,
    seed,
    text,
    pictures: [...pictures.values()].map(({ mimeType, parts }) => ({ mimeType, bytes: Buffer.concat(parts) })),
    reason: end.reason,
    finished,
  };
}
