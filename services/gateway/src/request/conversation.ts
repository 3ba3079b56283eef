import {
  type ChatMessage,
  type ChatStart,
  type DrawOptions,
  Role,
  TesseraError,
  type TextOptions,
} from '@tessera/protocol';

const invalid = TesseraError.invalidField;

export interface ConversationLimits {
  readonly messages: number;
  readonly textCharacters: number;
  readonly mediaItems: number;
  readonly stopTexts: number;
  readonly maxSteps: number;
  readonly maxGuidance: number;
}

/** A conversation that keeps the contract. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** The names of its media, in the order in which they first appear. */
  readonly mediaIds: readonly string[];
  readonly text: TextOptions;
  readonly draw: DrawOptions;
}

/**
 * Checks a conversation before anything is allocated for it.
 * @throws TesseraError REQUEST_INVALID, PROMPT_EMPTY, PROMPT_TOO_LONG or MEDIA_TOO_MANY, naming the field
 */
export function checkConversation(start: ChatStart, limits: ConversationLimits): Conversation {
  const { messages } = start;
  if (messages.length === 0) throw new TesseraError('PROMPT_EMPTY', 'messages is empty', { field: 'messages' });
  if (messages.length > limits.messages) {
    throw invalid('messages', `has ${messages.length} entries; the limit is ${limits.messages}`);
  }
  const mediaIds = new Set<string>();
  let occurrences = 0;
  let characters = 0;
  messages.forEach((message, index) => {
    if (message.role === Role.UNSPECIFIED || Role[message.role] === undefined) {
      throw invalid(`messages[${index}].role`, `is missing; use ROLE_SYSTEM, ROLE_USER or ROLE_ASSISTANT`);
    }
    if (message.role === Role.SYSTEM && index > 0) {
      throw invalid(`messages[${index}].role`, `is ROLE_SYSTEM; only the first message may be`);
    }
    message.content.forEach((part, at) => {
      const where = `messages[${index}].content[${at}]`;
      switch (part.part?.$case) {
        case 'text':
          characters += part.part.value.length;
          break;
        case 'mediaId':
          if (part.part.value === '') throw invalid(`${where}.media_id`, `is empty`);
          if (part.part.value.length > 256) throw invalid(`${where}.media_id`, `is longer than 256 characters`);
          mediaIds.add(part.part.value);
          occurrences++;
          break;
        default:
          throw invalid(where, `is neither text nor media_id`);
      }
    });
  });
  if (characters > limits.textCharacters) {
    throw new TesseraError(
      'PROMPT_TOO_LONG',
      `the conversation has ${characters} characters of text; the limit is ${limits.textCharacters}`,
      { field: 'messages' },
    );
  }
  if (occurrences > limits.mediaItems) {
    throw new TesseraError(
      'MEDIA_TOO_MANY',
      `the conversation shows ${occurrences} media items; the limit is ${limits.mediaItems}`,
      { field: 'messages' },
    );
  }
  const last = messages[messages.length - 1] as ChatMessage;
  if (last.role !== Role.USER) {
    throw invalid(`messages[${messages.length - 1}].role`, "must be ROLE_USER: the last message is the user's");
  }
  const says = last.content.some(
    ({ part }) => part?.$case === 'mediaId' || (part?.$case === 'text' && part.value.trim() !== ''),
  );
  if (!says) {
    throw new TesseraError('PROMPT_EMPTY', 'the last message has neither text nor media', {
      field: `messages[${messages.length - 1}].content`,
    });
  }
  return {
    messages,
    mediaIds: [...mediaIds],
    text: checkTextOptions(start.text, limits),
    draw: checkDrawOptions(start.draw, limits),
  };
}

function checkTextOptions(text: TextOptions | undefined, limits: ConversationLimits): TextOptions {
  if (text === undefined) return { stop: [] };
  if (text.maxTokens === 0) {
    throw invalid('text.max_tokens', 'is 0; leave it out for the default, or ask for at least 1');
  }
  inRange('text.temperature', text.temperature, 0, 10);
  inRange('text.top_p', text.topP, 0, 1);
  if (text.topP === 0) throw invalid('text.top_p', 'is 0; it must be over 0 and at most 1');
  if (text.topK === 0) throw invalid('text.top_k', 'is 0; leave it out for all tokens, or give at least 1');
  if (text.stop.length > limits.stopTexts) {
    throw invalid('text.stop', `has ${text.stop.length} entries; the limit is ${limits.stopTexts}`);
  }
  for (const stop of text.stop) {
    if (stop === '' || stop.length > 256) throw invalid('text.stop', 'holds a text that has not 1 to 256 characters');
  }
  return text;
}

function checkDrawOptions(draw: DrawOptions | undefined, limits: ConversationLimits): DrawOptions {
  if (draw === undefined) return {};
  inRange('draw.steps', draw.steps, 1, limits.maxSteps);
  inRange('draw.guidance', draw.guidance, 1, limits.maxGuidance);
  return draw;
}

function inRange(field: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined) return;
  if (!(value >= least && value <= most)) throw invalid(field, `is ${value}; it must be from ${least} to ${most}`);
}
