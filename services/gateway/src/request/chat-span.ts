import { type ChatStart, FinishReason } from '@tessera/protocol';
import { drive, failSpan, type Span, startSpan, within } from '@tessera/runtime';
import type { ChatEvent } from './chat-request.js';
import { stateName } from './request-state.js';

export interface ObservedChat {
  run(): AsyncGenerator<ChatEvent, void, undefined>;
  /** Told when the first text comes, how long after the begin. */
  onFirstText(afterMs: number): void;
}

/** Runs a chat inside a span that says what was asked for and what it took; never a word of the conversation. */
export async function* chatSpan(
  model: string,
  { text, messages }: ChatStart,
  { run, onFirstText }: ObservedChat,
): AsyncGenerator<ChatEvent> {
  const startedMs = performance.now();
  const span = startSpan(`chat ${model}`, {
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'tessera',
      'gen_ai.request.model': model,
      'gen_ai.request.max_tokens': text?.maxTokens,
      'gen_ai.request.temperature': text?.temperature,
      'gen_ai.request.top_p': text?.topP,
      'gen_ai.request.top_k': text?.topK,
      'tessera.request.messages': messages.length,
    },
  });
  let hasText = false;
  try {
    for await (const event of drive<ChatEvent>(run(), (next) => within(span, next))) {
      if (event.$case === 'textDelta' && !hasText) {
        hasText = true;
        const afterMs = performance.now() - startedMs;
        onFirstText(afterMs);
        span.setAttribute('gen_ai.response.time_to_first_chunk', afterMs / 1000);
      }
      note(span, event);
      yield event;
    }
  } catch (reason) {
    failSpan(span, reason);
    throw reason;
  } finally {
    span.end();
  }
}

function note(span: Span, event: ChatEvent): void {
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
    case 'finished': {
      const { reason, usage } = event.value;
      span.setAttribute('gen_ai.response.finish_reasons', [FinishReason[reason].toLowerCase()]);
      span.setAttribute('gen_ai.output.type', usage?.drawings ? 'image' : 'text');
      span.setAttribute('gen_ai.usage.input_tokens', usage?.promptTokens ?? 0);
      span.setAttribute('gen_ai.usage.output_tokens', usage?.completionTokens ?? 0);
      span.setAttribute('tessera.usage.media_tokens', usage?.mediaTokens ?? 0);
      span.setAttribute('tessera.usage.drawings', usage?.drawings ?? 0);
      return;
    }
  }
}
