import { toServerError } from '@tessera/grpc';
import {
  AnswerEvent,
  type ChatRequest,
  ChatServiceDefinition,
  type ChatServiceDescribeResponse,
  type ListModelsResponse,
  Modality,
  TesseraError,
} from '@tessera/protocol';
import { type CallContext, createServer, type ServiceImplementation } from 'nice-grpc';
import { errorDetailsServerMiddleware } from 'nice-grpc-error-details';

/** One call of `Chat`, as the gateway has it. */
export interface ChatCall {
  /** From 1. */
  readonly attempt: number;
  /** What the client has sent, all of it. */
  readonly sent: readonly ChatRequest[];
  readonly context: CallContext;
}

type Input<Message extends { fromPartial(value: never): unknown }> = Parameters<Message['fromPartial']>[0];
export type Told = NonNullable<Input<typeof AnswerEvent>['event']>;

export interface Script {
  /** What a call of `Chat` is answered with; throws TesseraErrors. */
  chat?(call: ChatCall): AsyncGenerator<Told>;
  /** A call of `ListModels`. */
  listModels?(pageToken: string, attempt: number): Input<typeof ListModelsResponse>;
  describe?(model: string): Input<typeof ChatServiceDescribeResponse>;
}

export interface ScriptedGateway extends AsyncDisposable {
  readonly address: string;
}

/** A gRPC server that answers as a test says, to fail where a gateway does not at a word. */
export async function scriptedGateway(script: Script): Promise<ScriptedGateway> {
  let attempt = 0;
  const unscripted = (): never => {
    throw toServerError(new TesseraError('UNSUPPORTED', 'no script for it'));
  };
  const implementation: ServiceImplementation<typeof ChatServiceDefinition> = {
    async *chat(messages, context) {
      attempt++;
      const sent: ChatRequest[] = [];
      for await (const message of messages) sent.push(message);
      let sequence = 0n;
      try {
        for await (const event of script.chat?.({ attempt, sent, context }) ?? unscripted()) {
          yield { event: AnswerEvent.fromPartial({ sequence: ++sequence, event }) };
        }
      } catch (reason) {
        throw reason instanceof TesseraError ? toServerError(reason, `request-${attempt}`) : reason;
      }
    },
    listModels: async ({ pageToken }) => {
      attempt++;
      try {
        return script.listModels?.(pageToken, attempt) ?? unscripted();
      } catch (reason) {
        throw reason instanceof TesseraError ? toServerError(reason) : reason;
      }
    },
    describe: async ({ model }) => script.describe?.(model) ?? unscripted(),
    respond: unscripted,
    resume: unscripted,
    upload: unscripted,
  };
  const server = createServer().use(errorDetailsServerMiddleware);
  server.add(ChatServiceDefinition, implementation);
  const port = await server.listen('127.0.0.1:0');
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
}

export const accepted: Told = {
  $case: 'accepted',
  value: { requestId: 'one', model: { name: 'demo', revision: 'abc' }, seed: 7n },
};

/** Text of one item. */
export function* words(item: number, ...pieces: string[]): Generator<Told> {
  yield { $case: 'itemStarted', value: { item, content: { $case: 'text', value: {} } } };
  for (const text of pieces) yield { $case: 'textDelta', value: { item, text, tokenCount: 1 } };
  yield { $case: 'itemFinished', value: { item } };
}

/** A picture in parts. */
export function* picture(item: number, ...parts: Uint8Array[]): Generator<Told> {
  const content = { $case: 'media' as const, value: { modality: Modality.IMAGE, mimeType: 'image/png' } };
  yield { $case: 'itemStarted', value: { item, content } };
  for (const [index, data] of parts.entries()) {
    yield { $case: 'mediaPart', value: { item, data, last: index === parts.length - 1 } };
  }
  yield { $case: 'itemFinished', value: { item } };
}

export const end: readonly Told[] = [
  { $case: 'choiceFinished', value: { reason: 1, tokenCount: 2 } },
  { $case: 'finished', value: { usage: { inputTokens: 5, outputTokens: 2 }, spans: [] } },
];
