import { linkedAbort } from '@tessera/flow';
import {
  type ChatRequest as ChatMessageIn,
  type ChatStart,
  type ResponseFormat as ContractFormat,
  MediaDetail,
  outsideText,
  Role,
  TesseraError,
  type UploadRequest,
} from '@tessera/protocol';
import type { ChatRequest, ResponseFormat, TextOptions } from './chat-request.js';
import type { FetchOptions } from './connect-options.js';
import type { ImagePart, MediaSource, Message } from './conversation.js';
import { loadMedia, sourceName } from './load-media.js';

type StartInput = Parameters<typeof ChatStart.fromPartial>[0];
type FormatInput = NonNullable<Parameters<typeof ContractFormat.fromPartial>[0]['format']>;
type RequestInput = Parameters<typeof ChatMessageIn.fromPartial>[0];
type UploadInput = Parameters<typeof UploadRequest.fromPartial>[0];

/** What a request sends: its first message, and the bytes of the media that it declares. */
export interface EncodedRequest {
  readonly start: StartInput;
  readonly media: ReadonlyMap<string, Uint8Array>;
}

/** What goes upward on one call. */
export type RequestStream = AsyncGenerator<RequestInput>;

/** The size of the parts in which media are sent; the limit of one part is 512 KiB. */
const partBytes = 256 * 1024;

const maxNameBytes = 256;

const roles = {
  system: Role.SYSTEM,
  user: Role.USER,
  assistant: Role.ASSISTANT,
  developer: Role.DEVELOPER,
  tool: Role.TOOL,
} as const satisfies Record<Message['role'], Role>;

const details = { low: MediaDetail.LOW, high: MediaDetail.HIGH } as const;

/**
 * A request in the contract's form, its media read or fetched.
 * @throws TesseraError
 */
export async function encodeRequest(
  { messages, model, text, draw, choices, priority, user, metadata, templateArguments }: ChatRequest,
  fetchOptions: FetchOptions,
  signal: AbortSignal,
): Promise<EncodedRequest> {
  const names = nameImages(messages);
  // Where one cannot be had, the others are not fetched to their end.
  using fetching = linkedAbort(signal);
  const media = await Promise.all(
    [...names].map(async ([part, name]) => ({
      part,
      name,
      ...(await sourceOf(part.image, fetchOptions, fetching.signal)),
    })),
  ).finally(() => fetching.abort());
  return {
    start: {
      model,
      messages: messages.map(({ role, content }) => ({
        role: roles[role],
        content: (typeof content === 'string' ? [content] : content).map((part) => ({
          part:
            typeof part === 'string'
              ? { $case: 'text' as const, value: part }
              : { $case: 'media' as const, value: names.get(part) as string },
        })),
      })),
      media: media.map(({ part: { mimeType, detail }, name, bytes, source }) => ({
        name,
        mimeType,
        detail: detail && details[detail],
        sizeBytes: bytes && BigInt(bytes.length),
        source,
      })),
      text: text && textInput(text),
      draw: draw && { ...draw, seed: seedOf(draw.seed, 'draw.seed') },
      choices: choicesOf(choices),
      priority,
      user,
      metadata,
      templateArguments,
    },
    media: new Map(media.flatMap(({ name, bytes }) => (bytes === undefined ? [] : [[name, bytes] as const]))),
  };
}

/** The messages of a call's upward stream: the conversation, then the parts of each media item. */
export async function* requestStream({ start, media }: EncodedRequest): RequestStream {
  yield { body: { $case: 'start', value: start } };
  for (const [name, bytes] of media) yield* mediaParts(name, bytes);
}

/** The messages of an upload. */
export async function* uploadStream(name: string, bytes: Uint8Array): AsyncGenerator<UploadInput> {
  const media = { name, sizeBytes: BigInt(bytes.length), source: inParts };
  yield { body: { $case: 'start', value: { media } } };
  yield* mediaParts(name, bytes);
}

function* mediaParts(name: string, bytes: Uint8Array) {
  let at = 0;
  do {
    const data = bytes.subarray(at, at + partBytes);
    at += data.length;
    yield { body: { $case: 'mediaPart' as const, value: { name, data, last: at >= bytes.length } } };
  } while (at < bytes.length);
}

const inParts = { $case: 'parts' as const, value: {} };

/** Where a request says that an item's bytes are; with them, unless the server has them. */
async function sourceOf(image: MediaSource, fetchOptions: FetchOptions, signal: AbortSignal) {
  if ('digest' in image) return { bytes: undefined, source: { $case: 'digest' as const, value: image.digest } };
  return { bytes: await loadMedia(image, fetchOptions, signal), source: inParts };
}

/** A name for each picture that the messages show, unique in the request, that says where it is from. */
function nameImages(messages: readonly Message[]): Map<ImagePart, string> {
  const names = new Map<ImagePart, string>();
  for (const { content } of messages) {
    if (typeof content === 'string') continue;
    for (const part of content) {
      if (typeof part === 'string' || names.has(part)) continue;
      const from = part.name ?? sourceName(part.image) ?? 'image';
      names.set(part, outsideText(`${names.size}-${from}`, maxNameBytes));
    }
  }
  return names;
}

function textInput({ stop = [], stopTokenIds = [], seed, responseFormat, ...rest }: TextOptions): StartInput['text'] {
  const said = { ...rest, stop: [...stop], stopTokenIds: [...stopTokenIds], seed: seedOf(seed, 'text.seed') };
  return responseFormat === undefined ? said : { ...said, responseFormat: { format: formatInput(responseFormat) } };
}

function formatInput(format: ResponseFormat): FormatInput {
  switch (format.type) {
    case 'json_object':
      return { $case: 'jsonObject' as const, value: {} };
    case 'json_schema':
      return { $case: 'jsonSchema' as const, value: { name: format.name, schema: JSON.stringify(format.schema) } };
    case 'regex':
      return { $case: 'regex' as const, value: format.pattern };
  }
}

/** What the contract's 32 bits cannot say would go out as another number. */
function choicesOf(choices: number | undefined): number | undefined {
  if (choices === undefined) return undefined;
  if (!Number.isInteger(choices) || choices < 1 || choices >= 2 ** 32) {
    throw TesseraError.invalidField('choices', `is ${choices}; it must be a whole number from 1 on`);
  }
  return choices;
}

function seedOf(seed: bigint | number | undefined, field: string): bigint | undefined {
  if (seed === undefined) return undefined;
  if (typeof seed === 'number' && !Number.isSafeInteger(seed)) {
    throw TesseraError.invalidField(field, 'must be a whole number; a bigint where it is over 2^53');
  }
  const value = BigInt(seed);
  if (value < 0n || value >= 2n ** 64n) throw TesseraError.invalidField(field, 'must be from 0 to 2^64 - 1');
  return value;
}
