import { Client, credentials, type StatusObject, status } from '@grpc/grpc-js';
import { ChatRequest, GenerateRequest, GenerateResponse, Role } from '@tessera/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, deploy } from '../support/deployment.js';
import { question, RawChat } from '../support/raw-chat.js';
import { recordedMessages, withAddedFields } from '../support/recorded.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy();
});
afterAll(async () => {
  await deployment?.stop();
});

const greeting = 'Hello! Show me a picture, or ask me to draw one.';

test("an earlier release's question is answered", async () => {
  const starts = recordedMessages().filter(({ message, bytes }) => {
    if (message !== 'ChatRequest') return false;
    const { body } = ChatRequest.decode(bytes);
    // One has every field that there is, also of what is not built.
    return body?.$case === 'start' && body.value.tools === undefined;
  });
  expect(starts).not.toEqual([]);
  for (const { bytes } of starts) {
    using chat = new RawChat(deployment.gateway);
    expect(await chat.send(bytes).close().ended).toMatchObject({ status: 'OK' });
    expect(greeting.startsWith(chat.text)).toBe(true);
    expect(chat.text).not.toBe('');
  }
});

test('a question with fields of a newer release is refused at the door: its sender must hear of it', async () => {
  const start = { body: { $case: 'start' as const, value: question('Hello!') } };
  using chat = new RawChat(deployment.gateway);
  const bytes = withAddedFields('ChatRequest', ChatRequest.encode(start).finish());
  expect(await chat.send(bytes).close().ended).toMatchObject({ status: 'INVALID_ARGUMENT', code: 'REQUEST_INVALID' });
});

test("a newer gateway's request is answered by the engine, and counted", async () => {
  const content = [{ part: { $case: 'text' as const, value: 'Hello!' } }];
  const request = GenerateRequest.fromPartial({
    requestId: 'newer',
    attempt: 1,
    prompt: { $case: 'conversation', value: { messages: [{ role: Role.USER, content }] } },
    text: { stop: [] },
  });
  const newer = withAddedFields('GenerateRequest', GenerateRequest.encode(request).finish());
  const client = new Client(deployment.stack.address('llm')?.grpc ?? '', credentials.createInsecure());
  const call = client.makeServerStreamRequest(
    '/tessera.v1.LlmService/Generate',
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => GenerateResponse.decode(bytes),
    newer,
  );
  let text = '';
  call.on('data', ({ event }: GenerateResponse) => {
    if (event?.$case === 'tokens') text += event.value.text;
  });
  call.on('error', () => undefined);
  const ended = await new Promise<StatusObject>((resolve) => call.on('status', resolve));
  client.close();
  expect(ended).toMatchObject({ code: status.OK });
  expect(text).toBe(greeting);
  const counted = { message: 'tessera.v1.LlmService/Generate' };
  expect(await deployment.metric('llm', 'tessera_unknown_fields_total', counted)).toBe(1);
});
