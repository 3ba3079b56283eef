import { EventQueue } from '@tessera/flow';
import type { EngineEvent } from './engine.js';

/** Where a sequence's events go. */
export interface EventSink {
  put(event: EngineEvent): void;
  /** Ends the events with an error. */
  fail(error: unknown): void;
  /** Ends the events. */
  end(): void;
}

/**
 * A sequence's events on their way to one reader. Tokens that a slow reader has not fetched are joined, so the queue
 * stays short however long the answer is.
 * @param onAbandoned called when the reader leaves before the end
 */
export function engineEvents(onAbandoned: () => void): EventQueue<EngineEvent> {
  return new EventQueue({ join: joinTokens, onAbandoned });
}

/** Of one event, in tokens. */
const mostLikelihoods = 256;

function joinTokens(last: EngineEvent, next: EngineEvent): EngineEvent | undefined {
  if (last.type !== 'tokens' || next.type !== 'tokens') return undefined;
  const [one, other] = [last.likelihoods, next.likelihoods];
  // They become messages: what is joined stays far below the size of one.
  if (one !== undefined && other !== undefined && one.length + other.length > mostLikelihoods) return undefined;
  const likelihoods = one && other && { likelihoods: [...one, ...other] };
  return {
    type: 'tokens',
    tokenIds: [...last.tokenIds, ...next.tokenIds],
    text: last.text + next.text,
    ...likelihoods,
  };
}
