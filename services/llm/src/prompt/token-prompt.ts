import { type PromptMedia, type PromptTokens, TesseraError } from '@tessera/protocol';
import type { Prompt, TokenSpan } from './prompt.js';
import { finishedPrompt, type ModelLimits, requireItem } from './prompt-builder.js';

const invalid = TesseraError.invalidField;

/**
 * A prompt that its caller wrote down as token ids.
 * @param media the items whose segments have positions in it; each segment has one at least
 * @throws TesseraError PROMPT_EMPTY, PROMPT_TOO_LONG, REQUEST_INVALID naming the field
 */
export function tokenPrompt(
  { tokenIds, segments }: PromptTokens,
  media: readonly PromptMedia[],
  model: ModelLimits & { readonly vocabSize: number },
): Prompt {
  if (tokenIds.length === 0) throw new TesseraError('PROMPT_EMPTY', 'tokens has no ids', { field: 'tokens.token_ids' });
  const strange = tokenIds.findIndex((id) => id >= model.vocabSize);
  if (strange >= 0) {
    throw invalid(`tokens.token_ids[${strange}]`, `is ${tokenIds[strange]}; ids are below ${model.vocabSize}`);
  }
  const placed = new Set<string>();
  let free = 0;
  const spans = segments.map(({ media: item, segment: tile, start }, index): TokenSpan => {
    const where = `tokens.segments[${index}]`;
    requireItem(item, media, `${where}.media`);
    const length = media[item]?.segments[tile]?.tokenCount;
    if (length === undefined) throw invalid(`${where}.segment`, `is ${tile}, but media[${item}] has no such`);
    if (start < free)
      throw invalid(`${where}.start`, `is ${start}, within or before the segment that stands before it`);
    free = start + length;
    if (free > tokenIds.length) {
      throw invalid(`${where}.start`, `is ${start}, but its ${length} positions do not fit before the end`);
    }
    placed.add(`${item}/${tile}`);
    return { item, tile, start, length };
  });
  media.forEach(({ segments: all }, item) => {
    const missing = all.findIndex((_, tile) => !placed.has(`${item}/${tile}`));
    if (missing >= 0) throw invalid(`media[${item}].segments[${missing}]`, 'has no place in tokens.segments');
  });
  return finishedPrompt({ tokenIds, spans }, media, 'tokens.token_ids', model);
}
