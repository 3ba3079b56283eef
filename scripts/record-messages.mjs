// Records one message of each kind that crosses a process, as this release writes it: run it when a release is made.
// test/upgrade shows that later releases still read them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as protocol from '@tessera/protocol';

const { DataType, FinishReason, MediaDetail, Modality, RequestState, Role, SegmentRole, Stage, WeightFormat, Work } =
  protocol;
const root = resolve(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const model = { name: 'demo', revision: '0123456789ab', weights: WeightFormat.FLOAT32 };
const tensor = { dataType: DataType.FLOAT16, shape: [1, 2], data: Uint8Array.of(0, 60, 0, 64) };
const part = { dataType: DataType.FLOAT16, shape: [1, 2], data: Uint8Array.of(0, 60, 0, 64), last: true };
const span = { seconds: 1n, nanos: 500_000 };
const text = {
  maxTokens: 24,
  minTokens: 1,
  temperature: 0,
  topP: 0.5,
  topK: 3,
  minP: 0.25,
  repetitionPenalty: 1.5,
  presencePenalty: 0.5,
  frequencyPenalty: -0.5,
  logitBias: { 7: -1 },
  seed: 7n,
  stop: ['\n\n'],
  stopTokenIds: [3],
  logprobs: { top: 2 },
  responseFormat: { format: { $case: 'jsonSchema', value: { name: 's', schema: '{}' } } },
};
/** What of it every release answers. */
const answeredText = {
  maxTokens: 24,
  temperature: 0,
  topP: 0.5,
  topK: 3,
  repetitionPenalty: 1.5,
  seed: 7n,
  stop: ['\n\n'],
};
const draw = { steps: 4, guidance: 1.5, seed: 2n ** 63n };
const words = [{ part: { $case: 'text', value: 'Hello!' } }];
const hello = [{ role: Role.USER, content: words }];
const call = { id: 'c', name: 'f', arguments: '{}' };
const media = [
  {
    name: 'a',
    modality: Modality.IMAGE,
    mimeType: 'image/png',
    sizeBytes: 3n,
    detail: MediaDetail.HIGH,
    source: { $case: 'parts', value: {} },
  },
  { name: 'b', source: { $case: 'inline', value: Uint8Array.of(1) } },
  { name: 'c', source: { $case: 'digest', value: 'sha256:0' } },
];
const served = {
  info: model,
  inputModalities: [Modality.TEXT, Modality.IMAGE],
  outputModalities: [Modality.TEXT],
  contextTokens: 512,
};
const work = { stage: 'encoder', queueMs: 1.5, busyMs: 2.5, endedAtMs: 1_700_000_000_000 };
const timing = { stage: Stage.ENCODER, queue: span, busy: span, endTime: new Date(1_700_000_000_000) };
const picture = { data: Uint8Array.of(1, 2), last: true, mimeType: 'image/png' };
const key = { requestId: 'recorded', attempt: 2, item: 1 };
const stored = { shard: 1, name: 'n', sequences: [7n, 2n ** 40n] };
const mediaPart = { name: 'a', data: Uint8Array.of(1, 2, 3), last: true };
const event = ($case, value) => ({ event: { $case, value } });
const answer = ($case, value) => ({ event: { sequence: 3n, ...event($case, value) } });
const tokens = [
  { modality: Modality.TEXT, tokenCount: 5 },
  { modality: Modality.IMAGE, tokenCount: 4 },
];
const logprob = {
  token: { tokenId: 3, bytes: Uint8Array.of(97), logprob: -0.5 },
  top: [{ tokenId: 4, bytes: Uint8Array.of(98), logprob: -1 }],
};

/** Every field is set, with a value that is not its default. */
const samples = [
  ['ListModelsRequest', { pageSize: 1, pageToken: 'p' }],
  ['ListModelsResponse', { models: [served], nextPageToken: 'p' }],
  ['ChatRequest', { body: { $case: 'start', value: { model: 'demo', messages: hello, text: answeredText, draw } } }],
  [
    'ChatRequest',
    {
      body: {
        $case: 'start',
        value: {
          model: 'demo',
          messages: [
            { role: Role.ASSISTANT, content: words, toolCalls: [call] },
            { role: Role.TOOL, content: [{ part: { $case: 'media', value: 'a' } }], toolCallId: 'c' },
          ],
          media,
          text,
          draw,
          choices: 2,
          outputModalities: [Modality.TEXT],
          tools: {
            tools: [{ name: 'f', description: 'd', parametersSchema: '{}', strict: true }],
            choice: { $case: 'name', value: 'f' },
            parallel: false,
          },
          priority: -1,
          user: 'u',
          metadata: { k: 'v' },
          templateArguments: { think: true },
        },
      },
    },
  ],
  ['ChatRequest', { body: { $case: 'mediaPart', value: mediaPart } }],
  ['UploadRequest', { body: { $case: 'start', value: { media: media[0] } } }],
  ['ResumeRequest', { requestId: 'r', lastSequence: 3n }],
  [
    'ChatResponse',
    answer('accepted', {
      requestId: 'r',
      model,
      seed: 7n,
      createTime: new Date(1_700_000_000_000),
      metadata: { k: 'v' },
    }),
  ],
  ['ChatResponse', answer('stateChanged', { state: RequestState.DECODING, at: span })],
  ['ChatResponse', answer('segmentArrived', { media: 1, segment: 2, tokenCount: 9 })],
  ['ChatResponse', answer('itemStarted', { item: 1, choice: 1, content: { $case: 'text', value: {} } })],
  [
    'ChatResponse',
    answer('itemStarted', {
      item: 1,
      choice: 1,
      content: { $case: 'media', value: { modality: Modality.IMAGE, mimeType: 'image/png' } },
    }),
  ],
  [
    'ChatResponse',
    answer('itemStarted', { item: 1, choice: 1, content: { $case: 'toolCall', value: { id: 'c', name: 'f' } } }),
  ],
  ['ChatResponse', answer('textDelta', { item: 1, choice: 1, text: 'Größe 🙂', tokenCount: 2, logprobs: [logprob] })],
  ['ChatResponse', answer('toolCallDelta', { item: 1, choice: 1, arguments: '{', tokenCount: 1 })],
  ['ChatResponse', answer('mediaProgress', { item: 1, choice: 1, step: 2, steps: 4 })],
  ['ChatResponse', answer('mediaPart', { item: 1, choice: 1, data: Uint8Array.of(1, 2), last: true })],
  ['ChatResponse', answer('itemFinished', { item: 1, choice: 1 })],
  ['ChatResponse', answer('choiceFinished', { choice: 1, reason: FinishReason.STOP, tokenCount: 3 })],
  [
    'ChatResponse',
    answer('finished', {
      usage: {
        inputTokens: 9,
        cachedInputTokens: 2,
        outputTokens: 3,
        inputByModality: tokens,
        outputByModality: [tokens[0]],
        outputMedia: 1,
      },
      spans: [
        {
          stage: Stage.ENCODER,
          what: { $case: 'work', value: Work.ENCODE },
          start: span,
          duration: span,
          media: 1,
          segment: 0,
        },
        {
          stage: Stage.GATEWAY,
          what: { $case: 'state', value: RequestState.QUEUED },
          start: span,
          duration: span,
          item: 1,
          choice: 1,
        },
      ],
    }),
  ],
  ['ChatResponse', answer('drain', {})],
  ['EncodeRequest', { mediaPart }],
  [
    'EncodeResponse',
    {
      segment: {
        index: 1,
        role: SegmentRole.PART,
        place: { columns: 2, rows: 3, column: 1, row: 2 },
        time: { start: span, duration: span },
      },
      segments: 2,
      features: part,
    },
  ],
  ['ConnectRequest', { features: part }],
  ['ConnectResponse', { visualTokens: part }],
  ['DrawRequest', { body: { $case: 'start', value: { options: draw } } }],
  ['DrawRequest', { body: { $case: 'condition', value: part } }],
  ['DrawResponse', event('progress', { step: 2, steps: 4 })],
  ['DrawResponse', event('picturePart', picture)],
  [
    'GenerateRequest',
    {
      requestId: 'recorded',
      attempt: 1,
      prompt: { $case: 'conversation', value: { messages: hello, templateArguments: { think: true } } },
      media: [{ modality: Modality.IMAGE, segments: [{ role: SegmentRole.WHOLE, tokenCount: 9 }] }],
      text,
      draw,
      forcedTokenIds: [3, 300],
      queuedDrawings: 1,
      drawingsTo: '0-abcdefgh',
      takenOver: true,
    },
  ],
  [
    'GenerateRequest',
    {
      requestId: 'recorded',
      prompt: { $case: 'tokens', value: { tokenIds: [3, 300], segments: [{ media: 1, segment: 2, start: 3 }] } },
    },
  ],
  ['GenerateResponse', event('admitted', { promptTokens: 9, cachedTokens: 2, byModality: tokens })],
  ['GenerateResponse', event('segmentArrived', { media: 1, segment: 2, tokenCount: 9, timings: [timing] })],
  ['GenerateResponse', event('segmentNeeded', { media: 1, segment: 2 })],
  ['GenerateResponse', event('prefillStarted', {})],
  ['GenerateResponse', event('tokens', { tokenIds: [3, 300], text: 'ab', logprobs: [logprob] })],
  ['GenerateResponse', event('drawingQueued', { drawing: 1 })],
  [
    'GenerateResponse',
    event('finished', {
      reason: FinishReason.END,
      tokenCount: 3,
      timing: { queue: span, prefill: span, decode: span },
    }),
  ],
  [
    'EncodeJob',
    {
      key,
      media: { place: { $case: 'inline', value: Uint8Array.of(1, 2) }, digest: 'd', size: 2n },
      modality: Modality.IMAGE,
      size: { width: 3, height: 4 },
      firstTile: 4,
      tileCount: 2,
    },
  ],
  ['ConnectJob', { key, tile: 1, features: { stored }, encoder: work }],
  ['GenerateJob', { key, condition: tensor, options: draw }],
  ['VisualTokenRows', { key, tile: 1, part: 2, parts: 3, rows: tensor, timings: [work] }],
  ['DrawingEvent', { key, ...event('picturePart', picture), sequence: 3, timing: work }],
  ['Failure', { key, code: 'MEDIA_CORRUPT', message: 'it is cut', stage: 'encoder' }],
  [
    'EngineStatus',
    {
      engineId: 'e',
      address: '127.0.0.1:1',
      running: 1,
      waiting: 2,
      maxWaiting: 3,
      draining: true,
      contextTokens: 512,
      maxRunning: 4,
      inbox: '0-abcdefgh',
    },
  ],
];

/** As JSON: whole numbers of 64 bits and bytes have no form of their own there. */
const plain = (key, value) => (key === '_unknownFields' ? undefined : typeof value === 'bigint' ? `${value}n` : value);

const codecs = new Map(Object.entries(protocol));
const recorded = samples.map(([message, value]) => {
  const codec = codecs.get(message);
  const bytes = Buffer.from(codec.encode(codec.fromPartial(value)).finish());
  return { message, bytes: bytes.toString('base64'), value: codec.decode(bytes) };
});
const file = join(root, 'test/upgrade', `messages-${version}.json`);
writeFileSync(file, `${JSON.stringify(recorded, plain, 2)}\n`);
console.log(`${recorded.length} messages recorded in ${file}`);
