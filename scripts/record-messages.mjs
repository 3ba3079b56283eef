// Records one message of each kind that crosses a process, as this release writes it: run it when a release is made.
// test/upgrade shows that later releases still read them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as protocol from '@tessera/protocol';

const { DataType, FinishReason, MediaKind, RequestState, Role, TileRole } = protocol;
const root = resolve(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const model = { name: 'demo', revision: '0123456789ab', weights: 'float32' };
const tensor = { dataType: DataType.FLOAT16, shape: [1, 2], data: Uint8Array.of(0, 60, 0, 64) };
const text = { maxTokens: 24, temperature: 0, topP: 0.5, topK: 3, seed: 7n, stop: ['\n\n'] };
const draw = { steps: 4, guidance: 1.5, seed: 2n ** 63n };
const hello = [{ role: Role.USER, content: [{ part: { $case: 'text', value: 'Hello!' } }] }];
const timing = { stage: 'encoder', queueMs: 1.5, busyMs: 2.5, endedAtMs: 1_700_000_000_000 };
const picture = { drawing: 0, data: Uint8Array.of(1, 2), last: true, mimeType: 'image/png' };
const key = { requestId: 'recorded', attempt: 2, item: 1 };
const stored = { shard: 1, name: 'n', sequences: [7n, 2n ** 40n] };
const mediaPart = { mediaId: 'a', data: Uint8Array.of(1, 2, 3), last: true };
const event = ($case, value) => ({ event: { $case, value } });

/** Every field is set, with a value that is not its default. */
const samples = [
  ['ChatRequest', { body: { $case: 'start', value: { model: 'demo', messages: hello, text, draw } } }],
  ['ChatRequest', { body: { $case: 'mediaPart', value: mediaPart } }],
  ['ChatResponse', event('accepted', { requestId: 'r', model, seed: 7n })],
  ['ChatResponse', event('stateChanged', { state: RequestState.DECODING, atMs: 1.5 })],
  ['ChatResponse', event('tileDone', { item: 1, tile: 2, tokens: 9 })],
  ['ChatResponse', event('textDelta', { text: 'Größe 🙂', tokens: 2 })],
  ['ChatResponse', event('drawProgress', { drawing: 1, step: 2, steps: 4 })],
  ['ChatResponse', event('picturePart', picture)],
  [
    'ChatResponse',
    event('finished', {
      reason: FinishReason.STOP,
      usage: { promptTokens: 9, mediaTokens: 4, completionTokens: 3, drawings: 1 },
      spans: [{ stage: 'llm', name: 'decode', startMs: 1.5, durationMs: 2.5, item: 1, tile: 0 }],
    }),
  ],
  ['ChatResponse', event('drain', {})],
  ['EncodeRequest', { mediaPart }],
  ['EncodeResponse', { tile: 1, tiles: 2, role: TileRole.PART, features: tensor }],
  ['ConnectRequest', { features: tensor }],
  ['ConnectResponse', { visualTokens: tensor }],
  ['DrawRequest', { condition: tensor, options: draw }],
  ['DrawResponse', event('picturePart', picture)],
  [
    'GenerateRequest',
    {
      requestId: 'recorded',
      attempt: 1,
      messages: hello,
      media: [{ kind: MediaKind.IMAGE, tiles: [{ role: TileRole.WHOLE, tokens: 9 }] }],
      text,
      draw,
      deliveredTokenIds: [3, 300],
      queuedDrawings: 1,
    },
  ],
  ['GenerateResponse', event('admitted', { promptTokens: 9, mediaTokens: 4 })],
  ['GenerateResponse', event('tileArrived', { item: 1, tile: 2, tokens: 9, timings: [timing] })],
  ['GenerateResponse', event('tileNeeded', { item: 1, tile: 2 })],
  ['GenerateResponse', event('prefillStarted', {})],
  ['GenerateResponse', event('tokens', { tokenIds: [3, 300], text: 'ab' })],
  ['GenerateResponse', event('drawingQueued', { drawing: 1 })],
  [
    'GenerateResponse',
    event('finished', {
      reason: FinishReason.END,
      completionTokens: 3,
      timing: { queueMs: 1.5, prefillMs: 2.5, decodeMs: 3.5 },
    }),
  ],
  [
    'EncodeJob',
    {
      key,
      media: { place: { $case: 'inline', value: Uint8Array.of(1, 2) }, digest: 'd', size: 2n },
      kind: MediaKind.IMAGE,
      size: { width: 3, height: 4 },
      firstTile: 4,
      tileCount: 2,
    },
  ],
  ['ConnectJob', { key, tile: 1, features: { stored }, encoder: timing }],
  ['GenerateJob', { key, condition: tensor, options: draw }],
  ['TensorPart', { key, tile: 1, part: 2, parts: 3, rows: tensor, timings: [timing] }],
  ['DrawingEvent', { key, ...event('picturePart', picture), sequence: 3, timing }],
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
