import { failSpan, type Span, startSpan } from '@tessera/runtime';
import type { EngineEvent, EngineRequest } from './engine/engine.js';

type Phase = 'admission' | 'prefill' | 'decode';

/** Hands a sequence's events on, and makes a span of each phase that they mark: admission, prefill, decode. */
export async function* engineSpans(
  { requestId, attempt }: EngineRequest,
  events: AsyncIterable<EngineEvent>,
): AsyncGenerator<EngineEvent> {
  const attributes = { 'tessera.request.id': requestId, 'tessera.request.attempt': attempt };
  const begin = (phase: Phase): Span => startSpan(`engine ${phase}`, { attributes });
  let phase: Phase = 'admission';
  let span = begin(phase);
  const enter = (next: Phase): Phase => {
    span.end();
    span = begin(next);
    return next;
  };
  let prompt = { 'gen_ai.usage.input_tokens': 0, 'tessera.usage.media_tokens': 0 };
  try {
    for await (const event of events) {
      if (event.type === 'admitted') {
        prompt = { 'gen_ai.usage.input_tokens': event.promptTokens, 'tessera.usage.media_tokens': event.mediaTokens };
      } else if (event.type === 'prefillStarted') {
        phase = enter('prefill');
        span.setAttributes(prompt);
      } else if (event.type === 'tokens' && phase === 'prefill') {
        phase = enter('decode');
      } else if (event.type === 'finished') {
        span.setAttribute('gen_ai.usage.output_tokens', event.completionTokens);
      }
      yield event;
    }
  } catch (reason) {
    failSpan(span, reason);
    throw reason;
  } finally {
    span.end();
  }
}
