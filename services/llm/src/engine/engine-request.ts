import type { BundleManifest } from '@tessera/bundle';
import {
  type GenerateRequest,
  Modality,
  refuseUnbuilt,
  TesseraError,
  type TextOptions,
  unbuiltTextOptions,
} from '@tessera/protocol';
import { contentKeys } from '../prompt/content-keys.js';
import type { Prompt } from '../prompt/prompt.js';
import type { PromptBuilder } from '../prompt/prompt-builder.js';
import { tokenPrompt } from '../prompt/token-prompt.js';
import type { SamplingOptions } from '../sampling/sampling-options.js';
import type { EngineRequest } from './engine.js';

const maxStops = 16;
const maxStopLength = 256;
const maxTemperature = 100;
const maxPenalty = 10;
/** Request ids become words of NATS subjects. */
const requestIdPattern = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Checks a request and builds its prompt.
 * @param deadlineMs Unix milliseconds
 * @throws TesseraError REQUEST_INVALID naming the field, and what the prompt builder throws
 */
export function engineRequest(
  request: GenerateRequest,
  builder: PromptBuilder,
  { llm, generation }: Pick<BundleManifest, 'llm' | 'generation'>,
  deadlineMs: number,
): EngineRequest {
  const { requestId, attempt, forcedTokenIds, queuedDrawings, text } = request;
  if (!requestIdPattern.test(requestId)) {
    throw invalid('request_id', 'use 1 to 64 letters, digits, _ or -');
  }
  if (forcedTokenIds.some((id) => id >= llm.vocabSize)) {
    throw invalid('forced_token_ids', `ids are below ${llm.vocabSize}`);
  }
  if (text !== undefined) refuseUnbuilt(text, unbuiltTextOptions, 'text.');
  const strange = request.media.findIndex(({ modality }) => modality !== Modality.IMAGE);
  if (strange >= 0) {
    throw new TesseraError('UNSUPPORTED', 'the engine takes visual tokens of pictures only', {
      field: `media[${strange}].modality`,
    });
  }
  const prompt = buildPrompt(request, builder, llm.vocabSize);
  const room = builder.model.maxPositions - prompt.tokenIds.length;
  if (forcedTokenIds.length > room) {
    throw invalid('forced_token_ids', `there are ${forcedTokenIds.length}, but the context has room for ${room}`);
  }
  return {
    requestId,
    attempt,
    prompt,
    contentKeys: contentKeys(
      prompt,
      request.media.map(({ digest }) => digest),
    ),
    priority: request.priority,
    client: request.client,
    cacheScope: request.cacheScope,
    tilesOnDemand: request.mediaOnDemand,
    sampling: samplingOptions(text, generation),
    maxTokens: maxTokens(text, generation),
    stops: stops(text),
    forcedTokenIds,
    queuedDrawings,
    isTakeover: isTakeover(request),
    deadlineMs,
  };
}

function buildPrompt({ prompt, media }: GenerateRequest, builder: PromptBuilder, vocabSize: number): Prompt {
  switch (prompt?.$case) {
    case 'conversation':
      return builder.build(prompt.value, media);
    case 'tokens':
      return tokenPrompt(prompt.value, media, { ...builder.model, vocabSize });
    default:
      throw new TesseraError('PROMPT_EMPTY', 'there is neither a conversation nor token ids', {
        field: 'conversation',
      });
  }
}

/** Whether an engine had admitted the request before. */
export function isTakeover({ takenOver, forcedTokenIds }: GenerateRequest): boolean {
  return takenOver || forcedTokenIds.length > 0;
}

function invalid(field: string, why: string): TesseraError {
  return new TesseraError('REQUEST_INVALID', `${field}: ${why}`, { field });
}

function maxTokens(text: TextOptions | undefined, generation: BundleManifest['generation']): number {
  const count = text?.maxTokens ?? generation.maxNewTokens;
  if (count === 0) throw invalid('text.max_tokens', 'ask for at least one token');
  return count;
}

function samplingOptions(text: TextOptions | undefined, generation: BundleManifest['generation']): SamplingOptions {
  const temperature = text?.temperature ?? (generation.doSample ? generation.temperature : 0);
  const topP = text?.topP ?? generation.topP;
  if (!(temperature >= 0 && temperature <= maxTemperature)) {
    throw invalid('text.temperature', `say a number from 0 to ${maxTemperature}`);
  }
  if (!(topP >= 0 && topP <= 1)) throw invalid('text.top_p', 'say a number from 0 to 1');
  const repetitionPenalty = text?.repetitionPenalty ?? generation.repetitionPenalty;
  if (!(repetitionPenalty > 0 && repetitionPenalty <= maxPenalty)) {
    throw invalid('text.repetition_penalty', `say a number over 0, up to ${maxPenalty}`);
  }
  return { temperature, topP, topK: text?.topK ?? generation.topK, repetitionPenalty, seed: text?.seed ?? 0n };
}

function stops(text: TextOptions | undefined): readonly string[] {
  const given = text?.stop ?? [];
  if (given.length > maxStops) throw invalid('text.stop', `at most ${maxStops} texts are taken`);
  if (given.some((stop) => stop.length === 0 || stop.length > maxStopLength)) {
    throw invalid('text.stop', `each has 1 to ${maxStopLength} characters`);
  }
  return given;
}
