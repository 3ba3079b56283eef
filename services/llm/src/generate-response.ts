import { durationOf, type GenerateResponse, Stage, type StageTiming, type StageWork } from '@tessera/protocol';
import type { EngineEvent } from './engine/engine.js';
import type { Likelihood } from './sampling/token-likelihood.js';
import type { TokenBytes } from './text/token-bytes.js';

/** What an engine tells, as the contract says it. */
export function generateResponse(event: EngineEvent, bytes: TokenBytes): GenerateResponse {
  switch (event.type) {
    case 'admitted': {
      const { promptTokens, cachedTokens, byModality } = event;
      return { event: { $case: 'admitted', value: { promptTokens, cachedTokens, byModality: [...byModality] } } };
    }
    case 'tileArrived': {
      const { item: media, tile: segment, tokens: tokenCount, timings } = event;
      const value = { media, segment, tokenCount, timings: timings.map(stageTiming) };
      return { event: { $case: 'segmentArrived', value } };
    }
    case 'tileNeeded':
      return { event: { $case: 'segmentNeeded', value: { media: event.item, segment: event.tile } } };
    case 'prefillStarted':
      return { event: { $case: 'prefillStarted', value: {} } };
    case 'tokens': {
      const { tokenIds, text, likelihoods = [] } = event;
      const candidate = ({ tokenId, logprob }: Likelihood) => ({ tokenId, bytes: bytes.of(tokenId), logprob });
      const logprobs = likelihoods.map((token) => ({ token: candidate(token), top: token.top.map(candidate) }));
      return { event: { $case: 'tokens', value: { tokenIds: [...tokenIds], text, logprobs } } };
    }
    case 'drawing':
      return { event: { $case: 'drawingQueued', value: { drawing: event.drawing } } };
    case 'finished': {
      const { reason, completionTokens: tokenCount, cachedTokens } = event;
      const { queueMs, prefillMs, decodeMs } = event.timing;
      const timing = { queue: durationOf(queueMs), prefill: durationOf(prefillMs), decode: durationOf(decodeMs) };
      return { event: { $case: 'finished', value: { reason, tokenCount, timing, cachedTokens } } };
    }
  }
}

const stages: Readonly<Record<string, Stage>> = { encoder: Stage.ENCODER, connector: Stage.CONNECTOR };

/** What came with the tokens over the bus, as the contract says it. */
function stageTiming({ stage, queueMs, busyMs, endedAtMs }: StageWork): StageTiming {
  return {
    stage: stages[stage] ?? Stage.UNSPECIFIED,
    queue: durationOf(queueMs),
    busy: durationOf(busyMs),
    endTime: new Date(endedAtMs),
  };
}
