import type { BundleManifest } from '@tessera/bundle';
import { checkMinTokens, checkTextBounds, TesseraError, TextOptions } from '@tessera/protocol';
import { compileFormat } from '../constraint/compile-format.js';
import type { SamplingOptions } from '../sampling/sampling-options.js';
import type { EngineRequest } from './engine.js';

const maxStops = 16;
const maxStopLength = 256;
const maxTemperature = 100;
const maxPenalty = 10;

const invalid = (field: string, why: string): TesseraError =>
  new TesseraError('REQUEST_INVALID', `text.${field}: ${why}`, { field: `text.${field}` });

/**
 * Checks how a text is to be written; what is not said is as generation_config.json says.
 * @throws TesseraError REQUEST_INVALID or UNSUPPORTED, naming the field
 */
export function textOptions(
  text: TextOptions = TextOptions.fromPartial({}),
  { llm, generation }: Pick<BundleManifest, 'llm' | 'generation'>,
): Pick<EngineRequest, 'sampling' | 'maxTokens' | 'stops' | 'stopTokenIds' | 'form'> {
  checkTextBounds(text, 'text.');
  const maxTokens = text.maxTokens ?? generation.maxNewTokens;
  if (maxTokens === 0) throw invalid('max_tokens', 'ask for at least one token');
  if (text.minTokens !== undefined) checkMinTokens(text.minTokens, maxTokens, 'text.');
  const { stopTokenIds } = text;
  if (stopTokenIds.some((id) => id >= llm.vocabSize)) throw invalid('stop_token_ids', `ids are below ${llm.vocabSize}`);
  const { responseFormat, minTokens = 0 } = text;
  // A form may be complete before that, and then nothing could come.
  if (responseFormat !== undefined && minTokens > 0) throw invalid('min_tokens', 'has no place beside response_format');
  const sampling = samplingOptions(text, generation, llm.vocabSize);
  const form = responseFormat && compileFormat(responseFormat, 'text.');
  return { sampling, maxTokens, stops: stops(text), stopTokenIds, form };
}

function samplingOptions(
  text: TextOptions,
  generation: BundleManifest['generation'],
  vocabSize: number,
): SamplingOptions {
  const temperature = text.temperature ?? (generation.doSample ? generation.temperature : 0);
  const topP = text.topP ?? generation.topP;
  if (!(temperature >= 0 && temperature <= maxTemperature)) {
    throw invalid('temperature', `say a number from 0 to ${maxTemperature}`);
  }
  if (!(topP >= 0 && topP <= 1)) throw invalid('top_p', 'say a number from 0 to 1');
  const repetitionPenalty = text.repetitionPenalty ?? generation.repetitionPenalty;
  if (!(repetitionPenalty > 0 && repetitionPenalty <= maxPenalty)) {
    throw invalid('repetition_penalty', `say a number over 0, up to ${maxPenalty}`);
  }
  const logitBias = Object.entries(text.logitBias).map(([id, bias]) => [Number(id), bias] as const);
  for (const [id] of logitBias) {
    if (id >= vocabSize) throw invalid(`logit_bias[${id}]`, `ids are below ${vocabSize}`);
  }
  return {
    temperature,
    topP,
    topK: text.topK ?? generation.topK,
    minP: text.minP ?? 0,
    repetitionPenalty,
    presencePenalty: text.presencePenalty ?? 0,
    frequencyPenalty: text.frequencyPenalty ?? 0,
    logitBias,
    minTokens: text.minTokens ?? 0,
    topLogprobs: text.logprobs?.top,
    seed: text.seed ?? 0n,
  };
}

function stops(text: TextOptions): readonly string[] {
  const given = text.stop;
  if (given.length > maxStops) throw invalid('stop', `at most ${maxStops} texts are taken`);
  if (given.some((stop) => stop.length === 0 || stop.length > maxStopLength)) {
    throw invalid('stop', `each has 1 to ${maxStopLength} characters`);
  }
  return given;
}
