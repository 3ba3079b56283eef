import { withDrain } from '@tessera/flow';
import {
  type GenerateRequest,
  type GenerateResponse,
  LlmServiceDefinition,
  type LlmServiceDescribeResponse,
  outsideText,
  TesseraError,
} from '@tessera/protocol';
import { type GrpcService, grpcService, type TesseraCallContext } from '@tessera/service';
import type { GenerateAdmission } from './admission.js';
import type { EngineLinks } from './engine-links.js';
import { EngineSpans } from './engine-spans.js';
import { generateResponse } from './generate-response.js';
import type { Llm } from './llm.js';
import type { LlmMetrics } from './metrics.js';
import { TokenBytes } from './text/token-bytes.js';

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
  const bytes = new TokenBytes(llm.builder.tokenizer);

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
        yield generateResponse(event, bytes);
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
