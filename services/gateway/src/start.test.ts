import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BundleManifest } from '@tessera/bundle';
import { Bus } from '@tessera/bus';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  ChatServiceDefinition,
  type DrawingEvent,
  drawingEvents,
  durationMs,
  Modality,
  Role,
  Stage,
} from '@tessera/protocol';
import { createClient, type RunningService, startService, type TesseraClient } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { gateway } from './start.js';
import { admitted, finished, type Script, ScriptedEngine, token } from './testing/scripted-engine.js';
import { tiledPictures } from './testing/tiled-pictures.js';

type Settings = Parameters<typeof startService<(typeof gateway)['settings']>>[1];

const revision = '0123456789ab';

/** Of a model of words; of its files the gateway needs none. */
const words: BundleManifest = {
  formatVersion: 2,
  name: 'toy',
  revision,
  weights: 'float32',
  parameters: { encoder: 0, connector: 0, llm: 10, generator: 0 },
  files: Object.fromEntries(
    ['llm.onnx', 'encoder.onnx', 'connector.onnx', 'generator.onnx', 'null.bin'].map((name) => [
      name,
      { bytes: 1, sha256: '0'.repeat(64) },
    ]),
  ),
  llm: {
    graph: 'llm.onnx',
    layers: 1,
    hiddenSize: 8,
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    vocabSize: 16,
    maxPositions: 321,
    eosTokenIds: [1],
    tokens: {},
  },
  generation: { maxNewTokens: 8, doSample: false, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 },
};

const pictures = {
  encoder: { graph: 'encoder.onnx', inputSize: { height: 32, width: 32 }, patches: 4, width: 8 },
  connector: { graph: 'connector.onnx', patches: 4, width: 8, tokens: 4, llmWidth: 8 },
  preprocessing: tiledPictures(4).preprocessing,
};

const drawings = {
  generator: {
    graph: 'generator.onnx',
    nullCondition: 'null.bin',
    height: 8,
    width: 8,
    channels: 3,
    conditionLength: 4,
    conditionWidth: 8,
    defaultSteps: 10,
    defaultGuidance: 1,
    numTrainTimesteps: 1000,
    shift: 1,
    predictionType: 'velocity' as const,
  },
};

let nats: NatsServer;
let folder: string;
beforeAll(async () => {
  nats = await startNatsServer();
  folder = mkdtempSync(join(tmpdir(), 'tessera-gateway-'));
});
afterAll(async () => {
  await nats.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Started {
  readonly service: RunningService;
  readonly client: TesseraClient<typeof ChatServiceDefinition>;
}

/** A gateway of that model. */
async function start(manifest: BundleManifest, settings: Settings = {}): Promise<Started> {
  writeFileSync(join(folder, 'bundle.json'), JSON.stringify(manifest));
  const given = { 'model.dir': folder, 'nats.url': nats.url, 'log.level': 'silent' as const, ...settings };
  const service = await startService(gateway, given);
  ends.push(() => service.stop());
  const client = createClient(ChatServiceDefinition, service.grpcAddress);
  ends.push(() => client.close());
  return { service, client };
}

/** An engine of the model that announces itself. */
async function engine(script: Script): Promise<{ scripted: ScriptedEngine; bus: Bus }> {
  const scripted = await ScriptedEngine.start('one', script);
  ends.push(() => scripted.stop());
  const bus = await Bus.connect({ url: nats.url, prefix: 'tessera', revision, name: 'engine' });
  ends.push(() => bus.close());
  const stop = new AbortController();
  ends.push(() => stop.abort());
  bus.announce(() => scripted.status, stop.signal);
  return { scripted, bus };
}

test.each<[what: string, manifest: BundleManifest, takes: Modality[], gives: Modality[]]>([
  ['words', words, [Modality.TEXT], [Modality.TEXT]],
  ['words that sees', { ...words, ...pictures }, [Modality.TEXT, Modality.IMAGE], [Modality.TEXT]],
  ['words that draws', { ...words, ...drawings }, [Modality.TEXT], [Modality.TEXT, Modality.IMAGE]],
])('a model of %s is described by its manifest', async (_what, manifest, inputModalities, outputModalities) => {
  const { client } = await start(manifest);
  const { model, limits } = await client.describe({});
  expect(model).toMatchObject({ info: { name: 'toy' }, inputModalities, outputModalities, contextTokens: 321 });
  expect(model?.info?.revision).toBe(revision);
  expect(limits?.contextTokens).toBe(321);
});

test('the limits are those of the settings, and no more is promised than can be kept', async () => {
  const { client } = await start(words, {
    'media.maxItems': 3,
    'media.maxBytes': 2 ** 40,
    'media.maxPixels': 1234,
    'requests.maxMessages': 5,
    'requests.maxTextCharacters': 678,
    'requests.maxChoices': 9,
    'clients.maxRequests': 7,
    'requests.maxInFlight': 8,
    'grpc.defaultDeadlineMs': 50_000,
    'grpc.maxDeadlineMs': 40_000,
  });
  const { limits } = await client.describe({});
  expect(limits).toMatchObject({ mediaItems: 3, mediaPixels: 1234n, messages: 5, textCharacters: 678, choices: 7 });
  // What the workers decode at most.
  expect(limits?.mediaBytes).toBe(BigInt(64 * 1024 * 1024));
  expect([limits?.maxDeadline, limits?.defaultDeadline].map(durationMs)).toEqual([40_000, 40_000]);
});

const hello = { messages: [{ role: Role.USER, content: [{ part: { $case: 'text' as const, value: 'Hello!' } }] }] };

test('an engine that announces itself answers, and what is in flight is shown', async () => {
  const { client, service } = await start(words, { 'requests.maxInFlight': 17, 'clients.maxRequests': 16 });
  const shown = async (name: string) => (await metricValues(service.metrics, `tessera_gateway_${name}`))[0]?.value;
  const { scripted } = await engine({ events: [admitted, token(7)], waits: true });
  const stop = new AbortController();
  const answering = (async () => {
    for await (const { event } of client.respond({ start: hello }, { signal: stop.signal })) {
      if (event?.event?.$case === 'textDelta') return [await shown('requests_taken'), await shown('requests_limit')];
    }
    return [];
  })();
  expect(await answering).toEqual([1, 17]);
  stop.abort();
  await expect.poll(() => shown('requests_taken')).toBe(0);
  expect(scripted.calls).toMatchObject([{ text: { maxTokens: undefined } }]);
});

test('a gateway that stops answers what it has begun, drawings too', async () => {
  const { client, service } = await start({ ...words, ...drawings });
  const drawingQueued = { $case: 'drawingQueued' as const, value: { drawing: 0 } };
  const { scripted, bus } = await engine({ events: [admitted, drawingQueued, token(7), finished] });
  const cases: (string | undefined)[] = [];
  let stopping: Promise<void> | undefined;
  for await (const { event } of client.respond({ start: hello })) {
    cases.push(event?.event?.$case);
    if (event?.event?.$case === 'choiceFinished') stopping = service.stop();
    if (event?.event?.$case !== 'drain') continue;
    const [{ requestId, drawingsTo } = { requestId: '', drawingsTo: '' }] = scripted.calls;
    const drawn: DrawingEvent = {
      key: { requestId, attempt: 1, item: 0 },
      event: { $case: 'picturePart', value: { data: Uint8Array.of(1), last: true, mimeType: 'image/png' } },
      sequence: 0,
      timing: undefined,
    };
    await bus.send(drawingEvents, drawn, { deadlineMs: Date.now() + 60_000, deliverTo: drawingsTo });
  }
  await stopping;
  expect(cases).toContain('mediaPart');
  expect(cases.at(-1)).toBe('finished');
});

test('a reader is told of the stages that nobody is there of', async () => {
  const { client, service } = await start({ ...words, ...pictures });
  await engine({ events: [admitted], waits: true });
  const source = { $case: 'inline' as const, value: samplePicture('apple') };
  const content = [{ part: { $case: 'media' as const, value: 'a' } }];
  const shown = { media: [{ name: 'a', source }], messages: [{ role: Role.USER, content }] };
  for await (const { event } of client.respond({ start: shown })) {
    if (event?.event?.$case !== 'stagesAwaited') continue;
    expect(event.event.value.stages).toContain(Stage.ENCODER);
    const awaiting = await metricValues(service.metrics, 'tessera_gateway_requests_awaiting');
    expect(awaiting.find(({ labels }) => labels.stage === 'encoder')?.value).toBe(1);
    return;
  }
  throw new Error('it was told of none');
});
