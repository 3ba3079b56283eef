import type { LlmSection } from '@tessera/bundle';
import { type ChatMessage, type MediaSpan, quoted, Role, TesseraError, TileRole } from '@tessera/protocol';
import type { ChatTemplate, TemplateMessage } from './chat-template.js';
import type { Prompt, TokenSpan } from './prompt.js';
import { TextGuard } from './text-guard.js';
import type { TextTokenizer } from './text-tokenizer.js';

interface ModelLimits extends Pick<LlmSection, 'tokens'> {
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
]);

/** Turns a conversation with reserved media spans into token ids. */
export class PromptBuilder {
  constructor(
    readonly tokenizer: TextTokenizer,
    readonly template: ChatTemplate,
    readonly model: ModelLimits,
  ) {}

  /**
   * @param media the items that the messages name by number, as decimal text
   * @throws TesseraError PROMPT_EMPTY, PROMPT_TOO_LONG with the figures, REQUEST_INVALID, UNSUPPORTED
   */
  build(messages: readonly ChatMessage[], media: readonly MediaSpan[]): Prompt {
    this.#checkTurns(messages);
    const texts = messages.flatMap(({ content }) =>
      content.flatMap(({ part }) => (part?.$case === 'text' ? [part.value] : [])),
    );
    this.#checkTextSize(texts, media);
    const guard = new TextGuard(this.tokenizer.addedTokens, [...texts, this.template.source]);
    const items: number[] = [];
    const rendered = this.template.render(messages.map((message) => templateMessage(message, guard, media, items)));

    const tokenIds: number[] = [];
    const spans: TokenSpan[] = [];
    let placed = 0;
    for (const section of this.tokenizer.splitter.split(rendered)) {
      if (typeof section === 'string') {
        for (const id of this.tokenizer.encode(guard.release(section))) tokenIds.push(id);
      } else if (section.id === this.model.tokens.mediaPad && placed < items.length) {
        const item = items[placed++] as number;
        this.#placeItem(item, media[item] as MediaSpan, tokenIds, spans);
      } else {
        tokenIds.push(section.id);
      }
    }
    if (placed !== items.length) {
      throw new TesseraError('UNSUPPORTED', `the chat template placed ${placed} of ${items.length} media items`);
    }
    const mediaTokens = spans.reduce((sum, span) => sum + span.length, 0);
    // One position must remain for the answer.
    if (tokenIds.length >= this.model.maxPositions) {
      throw tooLong(`${tokenIds.length} tokens, ${mediaTokens} of them media`, this.model);
    }
    return { tokenIds, spans, mediaTokens };
  }

  #checkTurns(messages: readonly ChatMessage[]): void {
    if (messages.length > maxMessages) {
      throw TesseraError.invalidField('messages', `are ${messages.length}, but at most ${maxMessages} are taken`);
    }
    for (const [index, { role }] of messages.entries()) {
      if (!roleNames.has(role)) {
        throw TesseraError.invalidField(`messages[${index}].role`, `is none: say system, user or assistant`);
      }
      if (role === Role.SYSTEM && index > 0) {
        throw TesseraError.invalidField(`messages[${index}].role`, `is wrong: a system message must be the first`);
      }
    }
    const last = messages.at(-1);
    if (last === undefined) {
      throw new TesseraError('PROMPT_EMPTY', 'the conversation has no message', { field: 'messages' });
    }
    if (last.role !== Role.USER) {
      throw TesseraError.invalidField(
        `messages[${messages.length - 1}].role`,
        "is wrong: the last message is the user's",
      );
    }
    const says = ({ part }: ChatMessage['content'][number]): boolean =>
      part?.$case === 'mediaId' || (part?.$case === 'text' && part.value.trim() !== '');
    if (!last.content.some(says)) {
      throw new TesseraError('PROMPT_EMPTY', 'the last message has neither text nor media', {
        field: `messages[${messages.length - 1}].content`,
      });
    }
  }

  /** What surely cannot fit is refused before it is tokenised, which costs far more than looking at its length. */
  #checkTextSize(texts: readonly string[], media: readonly MediaSpan[]): void {
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    const reserved = media.reduce((sum, { tiles }) => sum + tiles.reduce((count, { tokens }) => count + tokens, 0), 0);
    const { maxPositions } = this.model;
    if (characters > maxPositions * this.tokenizer.longestToken || reserved > maxPositions) {
      throw tooLong(`${characters} characters and ${reserved} media tokens`, this.model);
    }
  }

  #placeItem(item: number, { tiles }: MediaSpan, tokenIds: number[], spans: TokenSpan[]): void {
    const { mediaPad } = this.model.tokens;
    for (const [tile, { role, tokens }] of tiles.entries()) {
      if (role !== TileRole.WHOLE) tokenIds.push(this.#marker(item, tile, role));
      spans.push({ item, tile, start: tokenIds.length, length: tokens });
      for (let n = 0; n < tokens; n++) tokenIds.push(mediaPad as number);
      // The same item may be named often: stop before the ids grow without bound.
      if (tokenIds.length > this.model.maxPositions) {
        throw tooLong(`more than ${tokenIds.length - 1} tokens`, this.model);
      }
    }
  }

  #marker(item: number, tile: number, role: TileRole): number {
    const { thumbnail, tile: part } = this.model.tokens;
    const id = role === TileRole.THUMBNAIL ? thumbnail : role === TileRole.PART ? part : undefined;
    if (id !== undefined) return id;
    if (role === TileRole.UNSPECIFIED) {
      throw TesseraError.invalidField(`media[${item}].tiles[${tile}].role`, `is not said`);
    }
    throw new TesseraError('UNSUPPORTED', 'the model has no tokens for media that is cut into tiles');
  }
}

function tooLong(what: string, { maxPositions, limitedBy }: ModelLimits): TesseraError {
  return new TesseraError(
    'PROMPT_TOO_LONG',
    `the prompt has ${what}; the context holds ${maxPositions} tokens, the answer included${limitedBy ?? ''}`,
    { field: 'messages' },
  );
}

/** Writes the media items it meets to `items`, in order. */
function templateMessage(
  message: ChatMessage,
  guard: TextGuard,
  media: readonly MediaSpan[],
  items: number[],
): TemplateMessage {
  const role = roleNames.get(message.role) as TemplateMessage['role'];
  const parts = message.content.map(({ part }) => {
    if (part?.$case === 'text') return { type: 'text', text: guard.guard(part.value) } as const;
    if (part?.$case === 'mediaId') {
      items.push(mediaItem(part.value, media));
      return { type: 'image' } as const;
    }
    throw new TesseraError('REQUEST_INVALID', 'a content part has neither text nor media', { field: 'messages' });
  });
  // Templates of models without media know only text.
  const onlyText = parts.every((part) => part.type === 'text');
  return { role, content: onlyText ? parts.map(({ text }) => text).join('') : parts };
}

function mediaItem(id: string, media: readonly MediaSpan[]): number {
  const item = /^(0|[1-9][0-9]{0,5})$/.test(id) ? Number(id) : -1;
  if (media[item] === undefined) {
    throw new TesseraError('REQUEST_INVALID', `content names the media item ${quoted(id)}, but media has no such`, {
      field: 'messages',
    });
  }
  if (media[item].tiles.length === 0 || media[item].tiles.some(({ tokens }) => tokens === 0)) {
    throw TesseraError.invalidField(`media[${item}].tiles`, `is wrong: a tile has no tokens, or there is none`);
  }
  return item;
}
