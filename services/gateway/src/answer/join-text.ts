import type { AnswerEventBody } from './answer-event.js';

/** Tokens whose log-probabilities may leave together. */
const maxJoinedLogprobs = 256;

/** Text of one item that the reader has not fetched leaves together. */
export function joinText(last: AnswerEventBody, next: AnswerEventBody): AnswerEventBody | undefined {
  if (last.$case !== 'textDelta' || next.$case !== 'textDelta') return undefined;
  const [one, other] = [last.value, next.value];
  if (one.item !== other.item || one.choice !== other.choice) return undefined;
  // Log-probabilities are far larger than the text: what is joined stays far below the size of a message.
  if (one.logprobs.length + other.logprobs.length > maxJoinedLogprobs) return undefined;
  return {
    $case: 'textDelta',
    value: {
      ...one,
      text: one.text + other.text,
      tokenCount: one.tokenCount + other.tokenCount,
      logprobs: other.logprobs.length === 0 ? one.logprobs : [...one.logprobs, ...other.logprobs],
    },
  };
}

/** Texts of two choices leave in any order: each is read by itself. */
export function passesText(last: AnswerEventBody, next: AnswerEventBody): boolean {
  return last.$case === 'textDelta' && next.$case === 'textDelta' && last.value.choice !== next.value.choice;
}
