import type { Usage } from '@tessera/protocol';

/**
 * What a request took, by what its choices did: the prompt is one, as the first choice found it, and answers add up.
 * @param choices at least one
 */
export function requestUsage([first, ...others]: readonly [Usage, ...Usage[]]): Usage {
  const all = [first, ...others];
  const byModality = new Map<number, number>();
  for (const { modality, tokenCount } of all.flatMap(({ outputByModality }) => outputByModality)) {
    byModality.set(modality, (byModality.get(modality) ?? 0) + tokenCount);
  }
  return {
    ...first,
    outputTokens: all.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    outputByModality: [...byModality].map(([modality, tokenCount]) => ({ modality, tokenCount })),
    outputMedia: all.reduce((sum, { outputMedia }) => sum + outputMedia, 0),
  };
}
