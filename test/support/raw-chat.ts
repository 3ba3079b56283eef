import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  type AnswerEvent,
  ChatRequest,
  ChatResponse,
  ChatStart,
  mediaTokens as countMediaTokens,
  Media,
  Role,
  type Usage,
} from '@tessera/protocol';
import { type CallEnd, callEnd } from '@tessera/testing/grpc/call-end';

export type ChatEvent = NonNullable<AnswerEvent['event']>;
/** What of a `start` is worth saying in a test. */
export type StartInput = Parameters<typeof ChatStart.fromPartial>[0];
type ValueOf<C extends ChatEvent['$case']> = Extract<ChatEvent, { $case: C }>['value'];

const partBytes = 256 * 1024;

/**
 * One Chat call as a client writes it that knows nothing of Tessera's own: bytes go over plain gRPC, in any order and
 * with any content, and what ends the call is read from the trailers.
 */
export class RawChat implements Disposable {
  readonly events: ChatEvent[] = [];
  /** The numbers of the events. */
  readonly sequences: bigint[] = [];
  readonly ended: Promise<CallEnd>;
  private readonly client: Client;
  private readonly call: ClientDuplexStream<Buffer, ChatResponse>;
  private readonly waiting = new Set<() => void>();
  private over = false;

  constructor(
    address: string,
    { timeoutMs = 120_000, traceparent }: { timeoutMs?: number; traceparent?: string } = {},
  ) {
    const metadata = new Metadata();
    if (traceparent !== undefined) metadata.set('traceparent', traceparent);
    this.client = new Client(address, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 });
    this.call = this.client.makeBidiStreamRequest(
      '/tessera.v1.ChatService/Chat',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => ChatResponse.decode(bytes),
      metadata,
      { deadline: Date.now() + timeoutMs },
    );
    this.call.on('data', ({ event }: ChatResponse) => {
      if (event?.event !== undefined) {
        this.events.push(event.event);
        this.sequences.push(event.sequence);
      }
      this.wake();
    });
    this.ended = new Promise((resolve) => {
      const end = (callEnd: CallEnd): void => {
        this.over = true;
        resolve(callEnd);
        this.wake();
      };
      this.call.on('error', (error: ServiceError) => end(readEnd(error.code, error.details, error.metadata)));
      this.call.on('status', ({ code, details, metadata }) => end(readEnd(code, details, metadata)));
    });
  }

  /** Sends a message of the contract, or bytes that are none. */
  send(request: ChatRequest['body'] | Buffer): this {
    const bytes = Buffer.isBuffer(request) ? request : Buffer.from(ChatRequest.encode({ body: request }).finish());
    this.call.write(bytes);
    return this;
  }

  /** Sends one part of a media item. */
  part(name: string, data: Uint8Array, last = true): this {
    return this.send({ $case: 'mediaPart', value: { name, data, last } });
  }

  /** Sends a whole media item in parts. */
  media(name: string, bytes: Uint8Array): this {
    for (let at = 0; at < bytes.length; at += partBytes) {
      this.part(name, bytes.subarray(at, at + partBytes), at + partBytes >= bytes.length);
    }
    return this;
  }

  /** Sends `start` with one user message of these media and these words. */
  ask(words: string, media: readonly string[] = [], options: StartInput = {}): this {
    return this.send({ $case: 'start', value: question(words, media, options) });
  }

  /** Says that nothing more comes. */
  close(): this {
    this.call.end();
    return this;
  }

  /** Reads no more events; what the network holds is full in a while. */
  pause(): this {
    this.call.pause();
    return this;
  }

  /** Leaves, as a client that is gone does. */
  leave(): void {
    this.call.cancel();
  }

  /** The first event of a kind that passes the check; throws when the call ends without one. */
  async event<C extends ChatEvent['$case']>(
    kind: C,
    check: (value: ValueOf<C>) => boolean = () => true,
  ): Promise<ValueOf<C>> {
    for (let at = 0; ; ) {
      for (; at < this.events.length; at++) {
        const { $case, value } = this.events[at] as ChatEvent;
        if ($case === kind && check(value as ValueOf<C>)) return value as ValueOf<C>;
      }
      if (this.over) throw new Error(`no ${kind} before the end: ${JSON.stringify(await this.ended)}`);
      await new Promise<void>((resolve) => this.waiting.add(resolve));
    }
  }

  /** The text so far, of a request for one answer. */
  get text(): string {
    return this.textOf(0);
  }

  /** A choice's text so far. */
  textOf(choice: number): string {
    return this.events
      .map((event) => (event.$case === 'textDelta' && event.value.choice === choice ? event.value.text : ''))
      .join('');
  }

  [Symbol.dispose](): void {
    this.call.cancel();
    this.client.close();
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }
}

/** A conversation of one user message, which shows media that follow in parts. */
export function question(words: string, media: readonly string[] = [], options: StartInput = {}): ChatStart {
  const shown = media.map((value) => ({ part: { $case: 'media' as const, value } }));
  const said = { part: { $case: 'text' as const, value: words } };
  return ChatStart.fromPartial({
    messages: [{ role: Role.USER, content: [...shown, said] }],
    media: [...new Set(media)].map(inParts),
    ...options,
  });
}

/** The declaration of an item that follows in parts. */
export function inParts(name: string): Media {
  return Media.fromPartial({ name, source: { $case: 'parts', value: {} } });
}

/** Tokens of the prompt that stand for media. */
export function mediaTokens(usage: Usage | undefined): number {
  return countMediaTokens(usage?.inputByModality ?? []);
}

function readEnd(code: number, message: string, metadata: Metadata): CallEnd {
  const [details] = metadata.get('grpc-status-details-bin');
  return callEnd(code, message, Buffer.isBuffer(details) ? details : undefined);
}
