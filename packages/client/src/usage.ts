import type { ModalityTokens, Usage as UsageMessage } from '@tessera/protocol';
import { type Modality, modalityOf } from './model.js';

/** What an answer took. */
export interface Usage {
  /** Tokens of the prompt, those that stand for media included. */
  readonly inputTokens: number;
  /** How many of those were not computed, since an earlier request's could be used. */
  readonly cachedInputTokens: number;
  /** Tokens of the answer, of all its choices. */
  readonly outputTokens: number;
  /** The prompt's tokens by what they stand for; what has none is left out. */
  readonly inputByModality: Readonly<Partial<Record<Modality, number>>>;
  /** The answer's tokens by what they stand for; what has none is left out. */
  readonly outputByModality: Readonly<Partial<Record<Modality, number>>>;
  /** Pictures made. */
  readonly outputMedia: number;
}

export function usageOf(message: UsageMessage | undefined): Usage {
  const { inputTokens = 0, cachedInputTokens = 0, outputTokens = 0, outputMedia = 0 } = message ?? {};
  return {
    inputTokens,
    cachedInputTokens,
    outputTokens,
    inputByModality: byModality(message?.inputByModality ?? []),
    outputByModality: byModality(message?.outputByModality ?? []),
    outputMedia,
  };
}

function byModality(counts: readonly ModalityTokens[]): Partial<Record<Modality, number>> {
  return Object.fromEntries(counts.map(({ modality, tokenCount }) => [modalityOf(modality), tokenCount]));
}
