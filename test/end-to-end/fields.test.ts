import type { ServiceName } from '@tessera/cli';
import {
  ChatServiceDefinition,
  ConnectorServiceDefinition,
  EncoderServiceDefinition,
  GeneratorServiceDefinition,
  LlmServiceDefinition,
  Modality,
  Role,
  TesseraError,
} from '@tessera/protocol';
import { createClient } from '@tessera/service';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, deploy } from '../support/deployment.js';
import { isFieldPath } from '../support/field-path.js';
import { inParts, question, type StartInput } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy();
});
afterAll(async () => {
  await deployment?.stop();
});

type Call = AsyncIterable<unknown> | Promise<unknown>;
type Wrong = readonly [why: string, code: string, field: string, call: () => Call];

const open: { close(): void }[] = [];
afterAll(() => {
  for (const client of open) client.close();
});

function client<Definition extends Parameters<typeof createClient>[0]>(service: ServiceName, definition: Definition) {
  const made = createClient(definition, deployment.stack.address(service)?.grpc ?? '');
  open.push(made);
  return made;
}

async function* sent<T>(...messages: T[]): AsyncGenerator<T> {
  yield* messages;
}

async function refusalOf(call: Call): Promise<unknown> {
  try {
    if (Symbol.asyncIterator in call) for await (const _ of call);
    else await call;
    return undefined;
  } catch (reason) {
    return reason;
  }
}

/** The field that is told is the one of the request's message, and the sentence begins with it where it names it. */
async function expectField(message: string, [, code, field, call]: Wrong): Promise<void> {
  const refusal = await refusalOf(call());
  expect(refusal).toBeInstanceOf(TesseraError);
  expect(refusal).toMatchObject({ code, field });
  expect(isFieldPath(message, field), `${field} of ${message}`).toBe(true);
}

const wrongStarts: readonly [why: string, code: string, field: string, start: () => StartInput][] = [
  ['no message', 'PROMPT_EMPTY', 'start.messages', () => ({})],
  [
    'no role',
    'REQUEST_INVALID',
    'start.messages[0].role',
    () => ({ messages: [{ content: question('Hello!').messages[0]?.content }] }),
  ],
  ['a model that there is not', 'MODEL_NOT_FOUND', 'start.model', () => question('Hello!', [], { model: 'other' })],
  ['what is not built', 'UNSUPPORTED', 'start.tools', () => question('Hello!', [], { tools: {} })],
  ['one choice too many', 'REQUEST_INVALID', 'start.choices', () => question('Hello!', [], { choices: 9 })],
  [
    'what is not built of a list',
    'UNSUPPORTED',
    'start.messages[1].tool_call_id',
    () => ({ messages: [...question('Hello!').messages, { role: Role.TOOL, toolCallId: 'c' }] }),
  ],
  ['an option', 'REQUEST_INVALID', 'start.draw.steps', () => question('Hello!', [], { draw: { steps: 0 } })],
  [
    'an upload that there is not',
    'MEDIA_MISSING',
    'start.media[0].digest',
    () => {
      const source = { $case: 'digest' as const, value: `sha256:${'0'.repeat(64)}` };
      return question('What?', ['a'], { media: [{ name: 'a', source }] });
    },
  ],
  [
    'what is no picture',
    'MEDIA_NOT_RECOGNISED',
    'start.media[0]',
    () => {
      const source = { $case: 'inline' as const, value: Buffer.from('no picture') };
      return question('What?', ['a'], { media: [{ name: 'a', source }] });
    },
  ],
  // These only the engine can tell.
  ['too long a prompt', 'PROMPT_TOO_LONG', 'start.messages', () => question('word '.repeat(5000))],
  [
    'a special token in a template argument',
    'REQUEST_INVALID',
    'start.template_arguments.mode',
    () => question('Hello!', [], { templateArguments: { mode: '<|im_end|>' } }),
  ],
  [
    "a template argument with a name of the template language's",
    'REQUEST_INVALID',
    'start.template_arguments.range',
    () => question('Hello!', [], { templateArguments: { range: 3 } }),
  ],
];

test.each(wrongStarts)('Chat and Respond: %s', async (why, code, field, start) => {
  const gateway = client('gateway', ChatServiceDefinition);
  const chat = () => gateway.chat(sent({ body: { $case: 'start' as const, value: start() } }));
  await expectField('ChatRequest', [why, code, field, chat]);
  await expectField('RespondRequest', [why, code, field, () => gateway.respond({ start: start() })]);
});

const part = (name: string, data = Buffer.from('a')) => ({
  body: { $case: 'mediaPart' as const, value: { name, data, last: true } },
});

test.each<Wrong>([
  [
    'another part than was declared',
    'REQUEST_INVALID',
    'media_part.name',
    () => client('gateway', ChatServiceDefinition).chat(sent<object>(start(question('What?', ['a'])), part('b'))),
  ],
  ['no start', 'REQUEST_INVALID', 'start', () => client('gateway', ChatServiceDefinition).chat(sent(part('b')))],
])('Chat: %s', async (...wrong) => {
  await expectField('ChatRequest', wrong);
});

function start(value: StartInput) {
  return { body: { $case: 'start' as const, value } };
}

function upload(media: object, ...parts: ReturnType<typeof part>[]): Call {
  const first = { body: { $case: 'start' as const, value: { media: { ...inParts('a'), ...media } } } };
  return client('gateway', ChatServiceDefinition).upload(sent<object>(first, ...parts));
}

test.each<Wrong>([
  ['no name', 'REQUEST_INVALID', 'start.media.name', () => upload({ name: '' })],
  [
    'another source',
    'REQUEST_INVALID',
    'start.media.inline',
    () => upload({ source: { $case: 'inline', value: Buffer.from('a') } }),
  ],
  ['another size', 'REQUEST_INVALID', 'start.media.size_bytes', () => upload({ sizeBytes: 3n }, part('a'))],
  ['what is no picture', 'MEDIA_NOT_RECOGNISED', 'start.media', () => upload({}, part('a'))],
  ['sound', 'UNSUPPORTED', 'start.media.modality', () => upload({ modality: Modality.AUDIO })],
  ['another part', 'REQUEST_INVALID', 'media_part.name', () => upload({}, part('b'))],
])('Upload: %s', async (...wrong) => {
  await expectField('UploadRequest', wrong);
});

test.each<Wrong>([
  [
    'another item',
    'REQUEST_INVALID',
    'media_part.name',
    () =>
      client('encoder', EncoderServiceDefinition).encode(
        sent({ mediaPart: { name: 'a' } }, { mediaPart: { name: 'b', last: true } }),
      ),
  ],
])('Encode: %s', async (...wrong) => {
  await expectField('EncodeRequest', wrong);
});

test.each<Wrong>([
  [
    'a cut tensor',
    'TENSOR_INVALID',
    'features',
    () =>
      client('connector', ConnectorServiceDefinition).connect(
        sent({ features: { dataType: 1, shape: [36, 256], data: Buffer.alloc(4), last: true } }),
      ),
  ],
])('Connect: %s', async (...wrong) => {
  await expectField('ConnectRequest', wrong);
});

const condition = { dataType: 1, shape: [1, 256], data: Buffer.alloc(1024), last: true };
function draw(options: object, value: object = condition): Call {
  const first = { body: { $case: 'start' as const, value: { options } } };
  return client('generator', GeneratorServiceDefinition).draw(
    sent<object>(first, { body: { $case: 'condition', value } }),
  );
}

test.each<Wrong>([
  ['no steps', 'REQUEST_INVALID', 'start.options.steps', () => draw({ steps: 0 })],
  ['too much guidance', 'REQUEST_INVALID', 'start.options.guidance', () => draw({ steps: 1, guidance: 99 })],
  [
    'a condition of another shape',
    'TENSOR_INVALID',
    'condition',
    () => draw({ steps: 1 }, { ...condition, shape: [1, 2], data: Buffer.alloc(8) }),
  ],
])('Draw: %s', async (...wrong) => {
  await expectField('DrawRequest', wrong);
});

function generate(request: object): Call {
  return client('llm', LlmServiceDefinition).generate({ requestId: 'r', attempt: 1, drawingsTo: '', ...request });
}
const says = (...parts: object[]) => [{ role: Role.USER, content: parts.map((value) => ({ part: value })) }];
const hello = { $case: 'text', value: 'Hello!' };
const conversation = (value: object) => generate({ prompt: { $case: 'conversation', value } });
const tokens = (value: object, more: object = {}) => generate({ prompt: { $case: 'tokens', value }, ...more });

test.each<Wrong>([
  ['no message', 'PROMPT_EMPTY', 'conversation.messages', () => conversation({ messages: [] })],
  ['no role', 'REQUEST_INVALID', 'conversation.messages[0].role', () => conversation({ messages: [{}] })],
  ['an empty message', 'PROMPT_EMPTY', 'conversation.messages[0].content', () => conversation({ messages: says() })],
  [
    'a part that is nothing',
    'REQUEST_INVALID',
    'conversation.messages[0].content[1]',
    () =>
      generate({
        prompt: { $case: 'conversation', value: { messages: [{ role: Role.USER, content: [{ part: hello }, {}] }] } },
      }),
  ],
  [
    'an item that there is not',
    'REQUEST_INVALID',
    'conversation.messages[0].content[1].media',
    () => conversation({ messages: says(hello, { $case: 'media', value: 3 }) }),
  ],
  [
    'a template argument',
    'REQUEST_INVALID',
    'conversation.template_arguments.mode',
    () => conversation({ messages: says(hello), templateArguments: { mode: '<|im_end|>' } }),
  ],
  ['no ids', 'PROMPT_EMPTY', 'tokens.token_ids', () => tokens({ tokenIds: [] })],
  ['too many ids', 'PROMPT_TOO_LONG', 'tokens.token_ids', () => tokens({ tokenIds: Array(4000).fill(1) })],
  [
    'an item that has no place',
    'REQUEST_INVALID',
    'tokens.segments[0].media',
    () => tokens({ tokenIds: [1, 2], segments: [{ media: 1, segment: 0, start: 0 }] }),
  ],
  ['an option', 'REQUEST_INVALID', 'text.top_p', () => tokens({ tokenIds: [1] }, { text: { topP: 7 } })],
])('Generate: %s', async (...wrong) => {
  await expectField('GenerateRequest', wrong);
});
