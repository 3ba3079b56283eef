import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { type Profile, parseProfile, profileFormat, type StageName, stagesOf } from '@tessera/adviser';
import type { Bundle } from '@tessera/bundle';
import type { TlsOptions } from '@tessera/client';
import { tlsChannel } from '@tessera/grpc';
import { bytesPerElement, LlmServiceDefinition, TesseraError } from '@tessera/protocol';
import { createClient } from '@tessera/service';
import { Asker } from './asker.js';
import type { DeploymentAddresses, StageAddress } from './deployment.js';
import { limitsInForce, type Overrides } from './limits.js';
import { measureBeside } from './measure-beside.js';
import { measureGenerator } from './measure-generator.js';
import { measureLlm } from './measure-llm.js';
import { measureOverheads, words } from './measure-overheads.js';
import { measureStarts } from './measure-starts.js';
import { closing, measureConnector, measureEncoder, reach, requireRevision } from './measure-tiles.js';
import type { Measuring } from './measuring.js';
import { Meter } from './meter.js';

export interface ProfileTerms {
  readonly bundle: Bundle;
  readonly addresses: DeploymentAddresses;
  /** How the services are called by gRPC; absent: without TLS. */
  readonly tls?: TlsOptions;
  /** Settings that are taken instead of what the services tell. */
  readonly overrides: Overrides;
  /** A question that the model answers with a drawing. */
  readonly drawingPrompt: string;
  /** A share of the repetitions: 1 for all. */
  readonly effort: number;
  /** Cores of the machine that the deployment is on. */
  readonly cores?: number;
  /** Whether to start a replica of each stage here, to see how long that takes. */
  readonly starts: boolean;
  /** Added to that: what an orchestrator takes for a place, an image and a volume. */
  readonly placeSeconds: number;
  readonly signal: AbortSignal;
  tell(what: string): void;
}

/**
 * Measures the stages of a running deployment that does nothing else meanwhile: by their own gRPC, by requests to the
 * gateway, and by the metrics of all.
 * @throws TesseraError naming the stage that cannot be reached, or what does not fit
 */
export async function measureProfile(terms: ProfileTerms): Promise<Profile> {
  const { bundle, addresses, tls, signal, tell } = terms;
  const { manifest } = bundle;
  // Every call listens to it, and many are made at once.
  setMaxListeners(0, signal);
  const { generationStart } = manifest.llm.tokens;
  const gateway = addresses.stages.gateway as StageAddress;
  using asker = new Asker(gateway.grpc, signal, generationStart === undefined ? [] : [generationStart], tls);
  const times = (count: number): number => Math.max(1, Math.round(count * terms.effort));
  const meter = new Meter(addresses, signal);
  const channel = tls === undefined ? {} : tlsChannel(tls);
  const measuring: Measuring = { addresses, channel, manifest, asker, meter, signal, times, tell };
  const { model, limits: chat } = await asker.describe();
  requireRevision('gateway', model.revision, manifest.revision);
  const stages = requireStages(measuring);
  tell('warming up');
  for (let turn = 0; turn < times(5); turn++) await asker.ask({ words: 16, tokens: 8 });

  const engine = await describeEngine(measuring, addresses.stages.llm as StageAddress);
  requireRevision('llm', engine.model?.revision, manifest.revision);
  const limits = await limitsInForce(addresses, terms.overrides, signal);
  const { maxRunning, maxWaiting } = engine;
  const contextTokens = Math.min(engine.contextTokens, chat.contextTokens);
  const llm = await measureLlm(measuring, { ...limits.llm, maxRunning, contextTokens });
  const { encoder: encoderAt, connector: connectorAt, generator: generatorAt } = stages;
  const encoder = encoderAt && (await measureEncoder(measuring, encoderAt));
  const connector = connectorAt && (await measureConnector(measuring, connectorAt));
  const generator = generatorAt && (await measureGenerator(measuring, generatorAt));
  const tokensPerTile = manifest.connector?.tokens ?? 0;
  const { drawingPrompt } = terms;
  const { preparing, ...overheads } = await measureOverheads(measuring, {
    llm,
    tokensPerTile,
    generator,
    drawingPrompt,
  });
  const { joinMs, ...beside } = await measureBeside(measuring, {
    llm,
    maxRunning,
    contextTokens,
    words,
  });

  const { layers, kvHeads, headDim, kvCache = 'float32' } = manifest.llm;
  const kvTokenBytes = 2 * layers * kvHeads * headDim * bytesPerElement[kvCache];
  const kvLimit = await meter.gauge('llm', 'tessera_kv_cache_limit_bytes');
  const kvTokens = Math.max(contextTokens, Math.floor(kvLimit / kvTokenBytes));
  const measured: Record<string, unknown> = {
    format: profileFormat,
    model: manifest.name,
    revision: manifest.revision,
    measured: new Date().toISOString(),
    coreHour: 1,
    tokensPerTile,
    ...overheads,
    ...beside,
    preprocessing: manifest.preprocessing,
    gateway: { ...limits.gateway },
    ...(encoder && preparing ? { encoder: { ...encoder, ...limits.encoder, ...preparing } } : {}),
    ...(connector ? { connector: { ...connector, ...limits.connector } } : {}),
    llm: { ...llm, joinMs, ...limits.llm, maxRunning, maxWaiting, kvTokens, kvTokenBytes },
    ...(generator
      ? {
          generator: {
            stepMs: generator.stepMs,
            maxBatch: generator.maxBatch,
            defaultSteps: generator.defaultSteps,
            ...limits.generator,
          },
        }
      : {}),
    machineCores: terms.cores ?? availableParallelism(),
  };
  const profile = parseProfile(JSON.stringify(measured), 'what was measured');
  if (!terms.starts) return profile;
  const seconds = await measureStarts(measuring, bundle.dir, stagesOf(profile));
  return withStarts(profile, seconds, terms.placeSeconds);
}

function withStarts(profile: Profile, seconds: Partial<Record<StageName, number>>, placeSeconds: number): Profile {
  const started = stagesOf(profile).map((stage) => [
    stage,
    { ...profile[stage], startSeconds: (seconds[stage] ?? 0) + placeSeconds },
  ]);
  return { ...profile, ...Object.fromEntries(started) };
}

/** The addresses of the stages that the model has. @throws TesseraError CONFIG_INVALID naming one that is not told */
function requireStages({ manifest, addresses }: Measuring): DeploymentAddresses['stages'] {
  const stages: Partial<Record<StageName, StageAddress>> = { ...addresses.stages };
  for (const stage of ['encoder', 'connector', 'generator'] as const) {
    if (manifest[stage] === undefined) delete stages[stage];
    else if (stages[stage] === undefined) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `the model has a stage ${stage}, and nothing says where it is: --stage ${stage}=HOST:PORT,HOST:PORT`,
      );
    }
  }
  return stages;
}

async function describeEngine({ channel, signal }: Measuring, address: StageAddress) {
  using client = closing(createClient(LlmServiceDefinition, address.grpc, channel));
  return await reach('llm', address, () => client.describe({}, { signal }));
}
