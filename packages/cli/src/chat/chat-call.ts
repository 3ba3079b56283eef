import {
  type ChatMessage,
  type ChatRequest,
  ChatServiceDefinition,
  type DrawOptions,
  type Finished,
  type RequestState,
  TesseraError,
  type TextOptions,
} from '@tessera/protocol';
import { createClient } from '@tessera/service';
import { ClientError } from 'nice-grpc-common';
import { RichClientError } from 'nice-grpc-error-details';
import { HintedError } from '../hinted-error.js';

/** The size of the parts in which media are sent; the limit of one part is 512 KiB. */
const partBytes = 256 * 1024;

export interface ChatCallOptions {
  /** host:port of the gateway's gRPC. */
  readonly address: string;
  readonly messages: ChatMessage[];
  /** The media that the messages name. */
  readonly media: ReadonlyMap<string, Uint8Array>;
  readonly text?: TextOptions;
  readonly draw?: DrawOptions;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface ChatListener {
  onText?(text: string): void;
  onState?(state: RequestState): void;
  onDrawProgress?(step: number, steps: number, drawing: number): void;
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
  readonly finished: Finished;
}

async function* requestStream(options: ChatCallOptions): AsyncGenerator<ChatRequest> {
  const { messages, media, text, draw } = options;
  yield { body: { $case: 'start', value: { model: '', messages, text, draw } } };
  for (const [mediaId, bytes] of media) {
    let at = 0;
    do {
      const data = bytes.subarray(at, at + partBytes);
      at += data.length;
      yield { body: { $case: 'mediaPart', value: { mediaId, data, last: at >= bytes.length } } };
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
  let finished: Finished | undefined;
  try {
    const { signal, timeoutMs } = options;
    for await (const { event } of client.chat(requestStream(options), { signal, timeoutMs })) {
      switch (event?.$case) {
        case 'accepted':
          requestId = event.value.requestId;
          model = event.value.model?.name ?? '';
          seed = event.value.seed;
          break;
        case 'stateChanged':
          listener.onState?.(event.value.state);
          break;
        case 'textDelta':
          text += event.value.text;
          listener.onText?.(event.value.text);
          break;
        case 'drawProgress':
          listener.onDrawProgress?.(event.value.step, event.value.steps, event.value.drawing);
          break;
        case 'picturePart': {
          const { drawing, mimeType, data } = event.value;
          const picture = pictures.get(drawing) ?? { mimeType, parts: [] };
          picture.parts.push(data);
          pictures.set(drawing, picture);
          break;
        }
        case 'finished':
          finished = event.value;
          break;
      }
    }
  } catch (reason) {
    const error = TesseraError.from(reason);
    throw requestId === '' ? explained(error, options.address) : error;
  } finally {
    client.close();
  }
  if (finished === undefined) throw new Error('the gateway ended the stream without a finished event');
  return {
    requestId,
    model,
    seed,
    text,
    pictures: [...pictures.values()].map(({ mimeType, parts }) => ({ mimeType, bytes: Buffer.concat(parts) })),
    finished,
  };
}
