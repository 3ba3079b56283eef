import { Modality, type ModalityTokens } from './messages.js';

/** How many of the tokens stand for media. */
export function mediaTokens(byModality: readonly ModalityTokens[]): number {
  return byModality.reduce((sum, { modality, tokenCount }) => sum + (modality === Modality.TEXT ? 0 : tokenCount), 0);
}
