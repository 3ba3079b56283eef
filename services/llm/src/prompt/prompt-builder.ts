import type { LlmSection } from '@tessera/bundle';
import {
  Modality,
  type ModalityTokens,
  type PromptConversation,
  type PromptMedia,
  type PromptMessage,
  Role,
  SegmentRole,
  TesseraError,
} from '@tessera/protocol';
import { type ChatTemplate, type TemplateMessage, type Tokenizer, withinTime } from '@tessera/tokenizer';
import type { Prompt, TokenSpan } from './prompt.js';
import { requireHarmless } from './template-arguments.js';
import { TextGuard } from './text-guard.js';

export interface ModelLimits extends Pick<LlmSection, 'tokens'> {
  /** Of prompt and answer: the model's context, or less where the engine's KV cache holds less. */
  readonly maxPositions: number;
  /** Why that is less than the context, in the words of an error. */
  readonly limitedBy?: string | undefined;
}

/** More turns than this are refused before anything is rendered: templates are interpreted, turn by turn. */
const maxMessages = 1024;

const roleNames: ReadonlyMap<Role, TemplateMessage['role']> = new Map([
  [Role.SYSTEM, 'system'],
  [Role.USER, 'user'],
  [Role.ASSISTANT, 'assistant'],
  [Role.DEVELOPER, 'developer'],
  [Role.TOOL, 'tool'],
]);

/** Where the turns stand in a request. */
const turnsField = 'conversation.messages';

/** Turns a conversation with reserved media segments into token ids. */
export class PromptBuilder {
  constructor(
    readonly tokenizer: Tokenizer,
    /** Absent where only prompts of token ids are taken. */
    readonly template: ChatTemplate | undefined,
    readonly model: ModelLimits,
  ) {}

  /**
   * Who may speak when, and who last, the template decides.
   * @param media the items that the messages name by number
   * @throws TesseraError PROMPT_EMPTY, PROMPT_TOO_LONG with the figures, REQUEST_INVALID, UNSUPPORTED
   */
  build({ messages, templateArguments = {} }: PromptConversation, media: readonly PromptMedia[]): Prompt {
    const { template } = this;
    if (template === undefined) {
      const message = 'conversations are not taken, as prompt.chatTemplate is none; send token ids';
      throw new TesseraError('UNSUPPORTED', message, { field: 'conversation' });
    }
    this.#checkTurns(messages);
    inTime([], () => requireHarmless(templateArguments, this.tokenizer.letters));
    const taken = Object.keys(templateArguments).find((name) => !template.isFreeName(name));
    if (taken !== undefined) {
      throw TesseraError.invalidField(
        `conversation.template_arguments.${taken}`,
        "has a name of the template language's own; use another",
      );
    }
    const texts = messages.flatMap(({ content }) =>
      content.flatMap(({ part }) => (part?.$case === 'text' ? [part.value] : [])),
    );
    this.#checkTextSize(texts, media);
    const guard = new TextGuard(this.tokenizer.letters, [...texts, template.source]);
    const items: number[] = [];
    const turns = inTime(texts, () =>
      messages.map((message, index) => templateMessage(message, `${turnsField}[${index}]`, guard, media, items)),
    );
    const rendered = template.render(turns, templateArguments);

    const tokenIds: number[] = [];
    const spans: TokenSpan[] = [];
    let placed = 0;
    const parts = inTime([rendered], () => [...this.tokenizer.split(rendered, (text) => guard.release(text))]);
    for (const part of parts) {
      if (!('content' in part)) {
        for (const id of part) tokenIds.push(id);
      } else if (part.id === this.model.tokens.mediaPad && placed < items.length) {
        const item = items[placed++] as number;
        this.#placeItem(item, media[item] as PromptMedia, tokenIds, spans);
      } else {
        tokenIds.push(part.id);
      }
    }
    if (placed !== items.length) {
      throw new TesseraError('UNSUPPORTED', `the chat template placed ${placed} of ${items.length} media items`);
    }
    return finishedPrompt({ tokenIds, spans }, media, turnsField, this.model);
  }

  #checkTurns(messages: readonly PromptMessage[]): void {
    if (messages.length > maxMessages) {
      throw TesseraError.invalidField(turnsField, `are ${messages.length}, but at most ${maxMessages} are taken`);
    }
    for (const [index, { role }] of messages.entries()) {
      if (!roleNames.has(role)) {
        throw TesseraError.invalidField(`${turnsField}[${index}].role`, 'is none of those that there are');
      }
    }
    const last = messages.at(-1);
    if (last === undefined) {
      throw new TesseraError('PROMPT_EMPTY', 'the conversation has no message', { field: turnsField });
    }
    const says = ({ part }: PromptMessage['content'][number]): boolean =>
      part?.$case === 'media' || (part?.$case === 'text' && part.value.trim() !== '');
    if (!last.content.some(says)) {
      throw new TesseraError('PROMPT_EMPTY', 'the last message has neither text nor media', {
        field: `${turnsField}[${messages.length - 1}].content`,
      });
    }
  }

  /** What surely cannot fit is refused before it is tokenised, which costs far more than looking at its length. */
  #checkTextSize(texts: readonly string[], media: readonly PromptMedia[]): void {
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    const reserved = media.flatMap(({ segments }) => segments).reduce((sum, { tokenCount }) => sum + tokenCount, 0);
    const { maxPositions } = this.model;
    if (characters > maxPositions * this.tokenizer.longestToken || reserved > maxPositions) {
      throw tooLong(`${characters} characters and ${reserved} media tokens`, turnsField, this.model);
    }
  }

  #placeItem(item: number, { segments }: PromptMedia, tokenIds: number[], spans: TokenSpan[]): void {
    const { mediaPad } = this.model.tokens;
    for (const [tile, { role, tokenCount }] of segments.entries()) {
      if (role !== SegmentRole.WHOLE) tokenIds.push(this.#marker(item, tile, role));
      spans.push({ item, tile, start: tokenIds.length, length: tokenCount });
      for (let n = 0; n < tokenCount; n++) tokenIds.push(mediaPad as number);
      // The same item may be named often: stop before the ids grow without bound.
      if (tokenIds.length > this.model.maxPositions) {
        throw tooLong(`more than ${tokenIds.length - 1} tokens`, turnsField, this.model);
      }
    }
  }

  #marker(item: number, segment: number, role: SegmentRole): number {
    const { thumbnail, tile: part } = this.model.tokens;
    const id = role === SegmentRole.THUMBNAIL ? thumbnail : role === SegmentRole.PART ? part : undefined;
    if (id !== undefined) return id;
    if (role === SegmentRole.UNSPECIFIED) {
      throw TesseraError.invalidField(`media[${item}].segments[${segment}].role`, 'is not said');
    }
    throw new TesseraError('UNSUPPORTED', 'the model has no tokens for media that is cut into segments');
  }
}

/**
 * Cuts texts in no more than 2 s and 2 ms for each 1000 characters, of which they take a tenth: what expressions of
 * tokenizer.json look for may take any time.
 * @throws TesseraError REQUEST_INVALID
 */
function inTime<T>(texts: readonly string[], run: () => T): T {
  const ms = 2000 + Math.ceil(texts.reduce((sum, { length }) => sum + length, 0) / 500);
  const done = withinTime(ms, run);
  if (done !== undefined) return done.value;
  throw new TesseraError('REQUEST_INVALID', `the tokenizer takes more than ${ms} ms over the conversation`, {
    field: turnsField,
  });
}

/**
 * @param field where the prompt stands in its request
 * @throws TesseraError PROMPT_TOO_LONG when no position is left for the answer
 */
export function finishedPrompt(
  { tokenIds, spans }: Pick<Prompt, 'tokenIds' | 'spans'>,
  media: readonly PromptMedia[],
  field: string,
  model: ModelLimits,
): Prompt {
  const counts = new Map<Modality, number>([[Modality.TEXT, tokenIds.length]]);
  const count = (modality: Modality, tokens: number) => counts.set(modality, (counts.get(modality) ?? 0) + tokens);
  for (const { item, length } of spans) {
    count(media[item]?.modality ?? Modality.UNSPECIFIED, length);
    count(Modality.TEXT, -length);
  }
  const byModality: ModalityTokens[] = [...counts].flatMap(([modality, tokenCount]) =>
    tokenCount > 0 ? [{ modality, tokenCount }] : [],
  );
  // One position must remain for the answer.
  if (tokenIds.length >= model.maxPositions) {
    const mediaTokens = tokenIds.length - (counts.get(Modality.TEXT) ?? 0);
    throw tooLong(`${tokenIds.length} tokens, ${mediaTokens} of them media`, field, model);
  }
  return { tokenIds, spans, byModality };
}

function tooLong(what: string, field: string, { maxPositions, limitedBy }: ModelLimits): TesseraError {
  return new TesseraError(
    'PROMPT_TOO_LONG',
    `the prompt has ${what}; the context holds ${maxPositions} tokens, the answer included${limitedBy ?? ''}`,
    { field },
  );
}

/**
 * Writes the media items it meets to `items`, in order.
 * @param field where the message stands in its request
 */
function templateMessage(
  message: PromptMessage,
  field: string,
  guard: TextGuard,
  media: readonly PromptMedia[],
  items: number[],
): TemplateMessage {
  const role = roleNames.get(message.role) as TemplateMessage['role'];
  const parts = message.content.map(({ part }, index) => {
    const where = `${field}.content[${index}]`;
    if (part?.$case === 'text') return { type: 'text', text: guard.guard(part.value) } as const;
    if (part?.$case === 'media') {
      requireItem(part.value, media, `${where}.media`);
      items.push(part.value);
      return { type: 'image' } as const;
    }
    throw TesseraError.invalidField(where, 'has neither text nor media');
  });
  // Templates of models without media know only text.
  const onlyText = parts.every((part) => part.type === 'text');
  return { role, content: onlyText ? parts.map(({ text }) => text).join('') : parts };
}

/**
 * @param field where the prompt names the item
 * @throws TesseraError REQUEST_INVALID when there is no such item, or it has no positions
 */
export function requireItem(item: number, media: readonly PromptMedia[], field: string): void {
  const segments = media[item]?.segments;
  if (segments === undefined) throw TesseraError.invalidField(field, `is ${item}, but media has no such item`);
  if (segments.length === 0 || segments.some(({ tokenCount }) => tokenCount === 0)) {
    throw TesseraError.invalidField(`media[${item}].segments`, 'is wrong: one has no tokens, or there is none');
  }
}
