import { natsSettings } from '@tessera/bus';
import { commonSettings, type Settings, setting } from '@tessera/service';
import { computeSettings } from '@tessera/stage';
import { z } from 'zod';
import type { EngineConfig } from './engine/engine-config.js';

const positive = z.int().min(1);

/** How an engine calls shards of a kind over TLS. @param whom as in `expert shards` */
function shardTlsSettings<Kind extends 'experts' | 'layers'>(kind: Kind, whom: string) {
  const file = z.string().min(1).optional();
  const settings = {
    caFile: setting(file, {
      description: `PEM file of the CA that signs the certificates of ${whom}; without one they are called without TLS.`,
      example: '/etc/tessera/tls/ca.crt',
    }),
    certFile: setting(file, {
      description: `PEM file of the certificate that is shown to ${whom} that ask for one (mutual TLS).`,
      example: '/etc/tessera/tls/tls.crt',
    }),
    keyFile: setting(file, {
      description: "PEM file of that certificate's key.",
      example: '/etc/tessera/tls/tls.key',
    }),
    serverName: setting(file, {
      description: `Name in the certificates of ${whom}, where it is not the host of their addresses.`,
      example: `tessera-llm-${kind}`,
    }),
  };
  const named = Object.entries(settings).map(([name, each]) => [`${kind}.${name}`, each]);
  return Object.fromEntries(named) as { [Name in keyof typeof settings as `${Kind}.${Name}`]: (typeof settings)[Name] };
}

/** The LLM's settings. */
export const llmSettings = {
  ...commonSettings,
  ...natsSettings,
  ...computeSettings,
  'engine.advertise': setting(z.string().optional(), {
    description: 'Address, host:port, under which others reach this engine or shard; by default the one it listens on.',
    example: 'tessera-llm-0.tessera-llm:7003',
  }),
  'engine.backend': setting(z.enum(['auto', 'native', 'node']), {
    default: 'auto',
    description:
      "How ONNX Runtime is called: native, its C API, by which the KV cache is written in place; node, onnxruntime-node's own run, which copies it at every step; auto, native where that can be had. The log says which it is.",
  }),
  'engine.maxRunning': setting(positive.max(1024), {
    default: 16,
    description: 'Sequences that run at once: slots of the KV cache, as far as kv.maxBytes allows.',
  }),
  'engine.maxWaiting': setting(z.int().min(0).max(65_536), {
    default: 64,
    description: 'Sequences that wait for a slot; one more is refused with QUEUE_FULL.',
  }),
  'engine.maxWaitingForTiles': setting(z.int().min(1).max(65_536), {
    default: 64,
    description:
      'Sequences whose visual tokens are still being made; one more with a picture is refused with QUEUE_FULL. They hold up no text. Each holds those of its tiles that have come.',
  }),
  'engine.maxTakeovers': setting(z.int().min(0).max(65_536), {
    default: 1024,
    description:
      'Sequences taken over from other engines that wait for a slot, beside engine.maxWaiting and before it; the sum of what the other engines may have running and waiting is enough for all of them to die.',
  }),
  'prompt.chatTemplate': setting(z.string().min(1).max(4096).optional(), {
    description:
      "The chat template that writes prompts: the name of one that the model has several of, chatml or plain, which every model can be given, or a file, with a / in it or ending in .jinja. By default the model's own; a base model has none, and the engine does not start before one is named here, or none, to take prompts as token ids only. What ends a turn in it ends an answer.",
    example: '/etc/tessera/chat-template.jinja',
  }),
  'kv.maxBytes': setting(positive.optional(), {
    description:
      "Bytes that the KV cache may take, in a layer shard those of all engines together. One token takes 8 x layers x KV heads x head width bytes, 4 x of a bundle that was compiled with --kv-cache float16, and all sequences that run take as much as the longest. By default half of what the weights in this process leave of the memory that it may use: the limit of its container, or the machine's. Where experts are placed, only those that the placement gives to engines count, as it is at the start; where layers are in shards, each process counts the weights and the cache of its own.",
    example: '17179869184',
  }),
  'kv.reusePrefixes': setting(z.boolean(), {
    default: true,
    description:
      'Whether beginnings of sequences that have ended are kept, and used where another one begins alike: a system prompt, the earlier turns of a conversation, a picture in them. They take what of kv.maxBytes no running sequence needs.',
  }),
  'engine.maxStepTokens': setting(positive, {
    default: 512,
    description: 'Tokens of one step, prefill and decode together; at least engine.maxRunning.',
  }),
  'engine.maxChunkTokens': setting(positive, {
    default: 256,
    description: 'Prompt tokens of one sequence in one step.',
  }),
  'engine.speculativeTokens': setting(z.int().min(0).max(16), {
    default: 0,
    description:
      'Tokens that are guessed at most, and verified in one step, of an answer that is written alone: as its prompt or the answer itself went on when its newest tokens stood there before. Answers stay what they are. Good where answers repeat their prompts, as in extraction and edits; 0 guesses none. Worth it where a step of one token takes about as long as one of several: read docs/performance.md.',
  }),
  'engine.speculationNgram': setting(positive.max(8), {
    default: 2,
    description:
      'Newest tokens of an answer that must have stood in it or in its prompt before for a guess to be made. More of them make fewer guesses and better ones.',
  }),
  'engine.tileTimeoutMs': setting(positive, {
    default: 10_000,
    description:
      'Time after which missing visual tokens are asked for again, in milliseconds. It doubles with each asking, up to eight times itself, until tokens come or the deadline passes; what is still being made is not made twice.',
  }),
  role: setting(z.enum(['engine', 'experts', 'layers']), {
    default: 'engine',
    description:
      'engine: answers requests. experts: is an expert shard, which holds the experts of its group and computes rows for engines. layers: is a layer shard, which holds one piece of the layers, with their KV cache, and computes hidden states for engines.',
  }),
  'experts.placementFile': setting(z.string().min(1).optional(), {
    description:
      'JSON file of the placement: which expert of which layer is held by the engines and which by which group of shards. It is looked at every second, and one of a higher epoch is taken up without a stop. An engine without one has the whole model; a shard must have one. The bundle must be compiled with --cut experts.',
    example: '/etc/tessera/placement/placement.json',
  }),
  'experts.group': setting(z.string().min(1).optional(), {
    description: 'The group of the placement whose experts this shard holds; with role experts it must be given.',
    example: 'warm',
  }),
  'experts.rowType': setting(z.enum(['float32', 'float16']), {
    default: 'float32',
    description:
      'How rows travel to shards and back. float32 gives what one process gives, bit for bit; float16 takes half the bytes, and rounds.',
  }),
  'experts.callTimeoutMs': setting(positive, {
    default: 5000,
    description:
      'How long a shard may take for one call, in milliseconds; then another one is asked, and this one is not until it has said something. Longer than the rows of a whole step take.',
  }),
  'experts.missingMs': setting(z.int().min(0), {
    default: 30_000,
    description:
      'How long an engine stays ready, in milliseconds, while an expert is held by nobody: requests that need it wait for a shard that holds it. Longer than a shard takes to be started again and to load its experts.',
  }),
  'experts.hedge': setting(z.boolean(), {
    default: true,
    description:
      'Whether a call that takes longer than 99 of 100 calls of its size is sent to another holder of its experts too, where there is one; the first answer counts.',
  }),
  ...shardTlsSettings('experts', 'expert shards'),
  'layers.remote': setting(z.boolean(), {
    default: false,
    description:
      'Whether an engine has only the first piece of the layers, and calls layer shards for the others. It starts once each of them has announced itself. The bundle must be compiled with --cut layers=N.',
  }),
  'layers.piece': setting(positive.optional(), {
    description:
      'The piece that this layer shard holds, from 1 to the last; piece 0 is in every engine. With role layers it must be given.',
    example: '1',
  }),
  'layers.rowType': setting(z.enum(['float32', 'float16']), {
    default: 'float32',
    description:
      'How hidden states travel to layer shards and back. float32 gives what one process gives, bit for bit; float16 takes half the bytes, and rounds.',
  }),
  'layers.stepsAtOnce': setting(z.int().min(0).max(64), {
    default: 0,
    description:
      'Over how many steps the sequences that decode are shared out, which go through the pieces one behind the other, so that one is in the next piece while another is in this one; 0: as many as there are pieces. 1 has all of them in one step, while each piece waits for the others.',
  }),
  'layers.enginesPerShard': setting(positive.max(1024), {
    default: 2,
    description:
      "How many engines share each layer shard: an engine takes no more of a shard's KV cache than such a part. Count those that a rolling update starts before it ends the old ones; 1 only where one engine has the shards, and is ended before the next one starts.",
  }),
  'layers.callTimeoutMs': setting(positive, {
    default: 30_000,
    description:
      'How long a layer shard may say nothing, in milliseconds, while something is asked of it; then it is given up, and with it what it holds of the KV cache. A shard gives signs of life while it computes, or has others before an engine, unless one computation takes longer than this setting of its own. Longer than its piece takes for engine.maxStepTokens tokens of prompts.',
  }),
  'layers.missingMs': setting(z.int().min(0), {
    default: 30_000,
    description:
      'How long an engine stays ready, in milliseconds, while a piece is held by no layer shard: requests wait for one. Longer than a shard takes to be started again and to load its piece.',
  }),
  ...shardTlsSettings('layers', 'layer shards'),
  'engine.maxDrawings': setting(z.int().min(0), { default: 4, description: 'Drawings in one answer.' }),
};

/** What an engine needs of experts that are placed; undefined where it has the whole model. */
function expertsConfig(settings: LlmSettings): EngineConfig['experts'] {
  const placementFile = settings['experts.placementFile'];
  if (placementFile === undefined) return undefined;
  return {
    placementFile,
    rowType: settings['experts.rowType'],
    callTimeoutMs: settings['experts.callTimeoutMs'],
    hedge: settings['experts.hedge'],
    maxMessageBytes: settings['grpc.maxMessageBytes'],
    tls: {
      caFile: settings['experts.caFile'],
      certFile: settings['experts.certFile'],
      keyFile: settings['experts.keyFile'],
      serverName: settings['experts.serverName'],
      refreshMs: settings['grpc.certRefreshMs'],
    },
  };
}

/** What an engine needs of layer shards, but for what these say of themselves; undefined where it has the whole model. */
function layersConfig(settings: LlmSettings): EngineConfig['layers'] {
  if (!settings['layers.remote']) return undefined;
  return {
    rowType: settings['layers.rowType'],
    stepsAtOnce: settings['layers.stepsAtOnce'],
    callTimeoutMs: settings['layers.callTimeoutMs'],
    maxMessageBytes: settings['grpc.maxMessageBytes'],
    tls: {
      caFile: settings['layers.caFile'],
      certFile: settings['layers.certFile'],
      keyFile: settings['layers.keyFile'],
      serverName: settings['layers.serverName'],
      refreshMs: settings['grpc.certRefreshMs'],
    },
  };
}

export type LlmSettings = Settings<typeof llmSettings>;

/** @param session from `sessionOptions` */
export function engineConfig(settings: LlmSettings, session: EngineConfig['session']): EngineConfig {
  return {
    modelDir: settings['model.dir'],
    chatTemplate: settings['prompt.chatTemplate'],
    session: { ...session, backend: settings['engine.backend'] },
    experts: expertsConfig(settings),
    layers: layersConfig(settings),
    limits: {
      maxRunning: settings['engine.maxRunning'],
      maxWaiting: settings['engine.maxWaiting'],
      maxWaitingForTiles: settings['engine.maxWaitingForTiles'],
      maxTakeovers: settings['engine.maxTakeovers'],
      kvBytes: settings['kv.maxBytes'],
      reusePrefixes: settings['kv.reusePrefixes'],
      maxStepTokens: settings['engine.maxStepTokens'],
      maxChunkTokens: settings['engine.maxChunkTokens'],
      tileTimeoutMs: settings['engine.tileTimeoutMs'],
      maxDrawings: settings['engine.maxDrawings'],
      speculativeTokens: settings['engine.speculativeTokens'],
      speculationNgram: settings['engine.speculationNgram'],
    },
  };
}
