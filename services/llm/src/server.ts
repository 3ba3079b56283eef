import { withDrain } from '@tessera/flow';
import {
  durationOf,
  type GenerateRequest,
  type GenerateResponse,
  LlmServiceDefinition,
  type LlmServiceDescribeResponse,
  outsideText,
  Stage,
  type StageTiming,
  type StageWork,
  TesseraError,
} from '@tessera/protocol';
import { type GrpcService, grpcService, type TesseraCallContext } from '@tessera/service';
import type { GenerateAdmission } from './admission.js';
import type { EngineEvent } from './engine/engine.js';
import type { EngineLinks } from './engine-links.js';
import { EngineSpans } from './engine-spans.js';
import type { Llm } from './llm.js';
import type { LlmMetrics } from './metrics.js';

export interface LlmServerOptions {
  readonly llm: Llm;
  readonly links: EngineLinks;
  readonly metrics: LlmMetrics;
  readonly description: LlmServiceDescribeResponse;
  readonly admission: GenerateAdmission;
  readonly drain: AbortSignal;
}

type Call = Pick<TesseraCallContext, 'signal' | 'deadlineMs' | 'setRequestId'>;

/** The engine's gRPC door. */
export function llmService(options: LlmServerOptions): GrpcService {
  const { llm, links, metrics, description, admission, drain } = options;

  async function* generate(request: GenerateRequest, call: Call): AsyncGenerator<GenerateResponse> {
    const { signal, deadlineMs } = call;
    // It came from outside, and goes back in a header.
    call.setRequestId(outsideText(request.requestId, 64));
    using _call = admission.enter(request);
    signal.throwIfAborted();
    const prepared = llm.prepare(request, deadlineMs);
    const { requestId, attempt } = prepared;
    const onAbort = (): void => llm.engine.cancel(requestId, { attempt, reason: TesseraError.from(signal.reason) });
    signal.addEventListener('abort', onAbort, { once: true });
    const feed = new AbortController();
    let onAdmitted = (): void => {};
    const admitted = new Promise<void>((resolve) => {
      onAdmitted = resolve;
    });
    // Open before the sequence is the engine's: tokens may be on their way already. And open to the end: a sequence that
    // loses its slot may need them again.
    if (prepared.prompt.spans.length > 0) void links.feedTiles(prepared, admitted, feed.signal);
    using spans = new EngineSpans(prepared);
    using meter = metrics.answer();
    try {
      for await (const event of withDrain(llm.engine.submit(prepared), drain)) {
        if (event === 'drain') {
          yield { event: { $case: 'drain', value: {} } };
          continue;
        }
        meter.note(event);
        spans.note(event);
        if (event.type === 'admitted') onAdmitted();
        if (event.type === 'drawing') {
          const { drawing: index, condition } = event;
          const { draw: options, drawingsTo: deliverTo } = request;
          if (deliverTo !== '') await links.queueDrawing(prepared, { index, condition, options, deliverTo }, signal);
        }
        yield response(event);
      }
    } catch (reason) {
      meter.failed(reason);
      spans.failed(reason);
      throw reason;
    } finally {
      feed.abort();
      onAdmitted();
      signal.removeEventListener('abort', onAbort);
    }
  }

  return grpcService(LlmServiceDefinition, { describe: async () => description, generate }, { callers: 'services' });
}

function response(event: EngineEvent): GenerateResponse {
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
    case 'tokens':
      return { event: { $case: 'tokens', value: { tokenIds: [...event.tokenIds], text: event.text, logprobs: [] } } };
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
