import { RequestState, type Span, Stage, Work } from './messages.js';

/** What a span tells of, in the words of metrics and documents: such as `encoder` and `encode`, `gateway` and `queued`. */
export function spanWords({ stage, what }: Pick<Span, 'stage' | 'what'>): { stage: string; name: string } {
  const name = what === undefined ? '' : what.$case === 'state' ? RequestState[what.value] : Work[what.value];
  return { stage: Stage[stage].toLowerCase(), name: name.toLowerCase() };
}
