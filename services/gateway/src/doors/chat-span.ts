import { type ChatStart, FinishReason, mediaTokens } from '@tessera/protocol';
import { failSpan, type Span, startSpan, within } from '@tessera/service';
import type { AnswerEventBody } from '../answer/answer-event.js';
import { stateName } from '../answer/request-lifecycle.js';
import { stageName } from '../routing/awaited-stages.js';

/** A span that says what was asked for and what it took; never a word of the conversation. Dispose of it at the end. */
export class ChatSpan implements Disposable {
  private readonly startedMs = performance.now();
  private readonly span: Span;
  private hasText = false;
  /** Why texts ended, by choice. */
  private readonly reasons: string[] = [];

  constructor(
    model: string,
    { text, messages, user, choices }: ChatStart,
    /** Told when the first text comes, how long after the begin. */
    private readonly onFirstText: (afterMs: number) => void,
  ) {
    this.span = startSpan(`chat ${model}`, {
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'tessera',
        'gen_ai.request.model': model,
        'gen_ai.request.max_tokens': text?.maxTokens,
        'gen_ai.request.temperature': text?.temperature,
        'gen_ai.request.top_p': text?.topP,
        'gen_ai.request.top_k': text?.topK,
        // By the conventions it is told where it is not 1.
        'gen_ai.request.choice.count': choices === 1 ? undefined : choices,
        'tessera.request.messages': messages.length,
        'enduser.id': user === '' ? undefined : user,
      },
    });
  }

  /** Runs what makes the answer inside the span. */
  within<T>(run: () => T): T {
    return within(this.span, run);
  }

  note(event: AnswerEventBody): void {
    if (event.$case === 'textDelta' && !this.hasText) {
      this.hasText = true;
      const afterMs = performance.now() - this.startedMs;
      this.onFirstText(afterMs);
      this.span.setAttribute('gen_ai.response.time_to_first_chunk', afterMs / 1000);
    }
    if (event.$case === 'choiceFinished') {
      this.reasons[event.value.choice] = FinishReason[event.value.reason].toLowerCase();
      this.span.setAttribute('gen_ai.response.finish_reasons', Object.values(this.reasons));
    }
    note(this.span, event);
  }

  failed(reason: unknown): void {
    failSpan(this.span, reason);
  }

  [Symbol.dispose](): void {
    this.span.end();
  }
}

function note(span: Span, event: AnswerEventBody): void {
  if (!span.isRecording()) return;
  switch (event.$case) {
    case 'accepted': {
      const { requestId, model, seed } = event.value;
      span.setAttribute('gen_ai.response.id', requestId);
      span.setAttribute('tessera.request.id', requestId);
      // A number of 64 bits does not fit into one of JavaScript's.
      span.setAttribute('gen_ai.request.seed', String(seed));
      if (model !== undefined) span.setAttribute('gen_ai.response.model', `${model.name}@${model.revision}`);
      return;
    }
    case 'stateChanged':
      span.addEvent(stateName(event.value.state));
      return;
    case 'stagesAwaited':
      span.addEvent('awaits', { 'tessera.stages': event.value.stages.map(stageName) });
      return;
    case 'finished': {
      const { usage } = event.value;
      span.setAttribute('gen_ai.output.type', usage?.outputMedia ? 'image' : 'text');
      span.setAttribute('gen_ai.usage.input_tokens', usage?.inputTokens ?? 0);
      span.setAttribute('gen_ai.usage.output_tokens', usage?.outputTokens ?? 0);
      span.setAttribute('tessera.usage.media_tokens', mediaTokens(usage?.inputByModality ?? []));
      span.setAttribute('tessera.usage.drawings', usage?.outputMedia ?? 0);
      return;
    }
  }
}
