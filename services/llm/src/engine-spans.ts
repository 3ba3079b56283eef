import { mediaTokens, TesseraError } from '@tessera/protocol';
import { failSpan, type Span, startSpan } from '@tessera/service';
import type { EngineEvent, EngineRequest } from './engine/engine.js';

type Phase = 'admission' | 'prefill' | 'decode';

/**
 * A span for each phase that a sequence's events mark: admission, prefill, decode. Dispose of it when they have ended; where
 * none of them was the last, and none failed, whoever asked has left.
 */
export class EngineSpans implements Disposable {
  readonly #attributes;
  #phase: Phase = 'admission';
  #span: Span;
  #isOver = false;
  #prompt = { 'gen_ai.usage.input_tokens': 0, 'tessera.usage.media_tokens': 0 };

  constructor({ requestId, attempt }: EngineRequest) {
    this.#attributes = { 'tessera.request.id': requestId, 'tessera.request.attempt': attempt };
    this.#span = this.#begin('admission');
  }

  note(event: EngineEvent): void {
    switch (event.type) {
      case 'admitted':
        this.#prompt = {
          'gen_ai.usage.input_tokens': event.promptTokens,
          'tessera.usage.media_tokens': mediaTokens(event.byModality),
        };
        return;
      case 'prefillStarted':
        this.#enter('prefill');
        this.#span.setAttributes(this.#prompt);
        return;
      case 'tokens':
        if (this.#phase === 'prefill') this.#enter('decode');
        return;
      case 'finished':
        this.#isOver = true;
        this.#span.setAttribute('gen_ai.usage.output_tokens', event.completionTokens);
        return;
      default:
        return;
    }
  }

  failed(reason: unknown): void {
    this.#isOver = true;
    failSpan(this.#span, reason);
  }

  [Symbol.dispose](): void {
    if (!this.#isOver) failSpan(this.#span, new TesseraError('CANCELLED', 'whoever asked has left'));
    this.#span.end();
  }

  #enter(phase: Phase): void {
    this.#span.end();
    this.#phase = phase;
    this.#span = this.#begin(phase);
  }

  #begin(phase: Phase): Span {
    return startSpan(`engine ${phase}`, { attributes: this.#attributes });
  }
}
