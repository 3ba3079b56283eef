import {
  type ChatMessage,
  type ChatStart,
  checkTextBounds,
  type DrawOptions,
  type Media,
  quoted,
  Role,
  refuseUnbuilt,
  TesseraError,
  TextOptions,
  unbuiltRequestFields,
} from '@tessera/protocol';

const invalid = TesseraError.invalidField;

/** Of the declarations of media. */
type MediaDeclarationLimits = Pick<ConversationLimits, 'mediaItems' | 'itemBytes'>;

export interface ConversationLimits {
  readonly messages: number;
  readonly textCharacters: number;
  readonly mediaItems: number;
  /** Bytes of one media item. */
  readonly itemBytes: number;
  readonly stopTexts: number;
  readonly maxSteps: number;
  readonly maxGuidance: number;
  readonly maxPriority: number;
  /** Answers that one request may ask for. */
  readonly choices: number;
}

/** A conversation that keeps the contract. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Each is shown. */
  readonly media: readonly Media[];
  readonly text: TextOptions;
  readonly draw: DrawOptions;
  readonly templateArguments: ChatStart['templateArguments'];
  /** How many answers; at least one. */
  readonly choices: number;
}

/** Names an upload. */
const uploadDigest = /^sha256:[0-9a-f]{64}$/;

/** Below 0 everybody may go. */
const leastPriority = -100;

/** Characters of a name, of a person's as of a media item's. */
const maxNameLength = 256;
const metadataLimits = { entries: 16, keyCharacters: 64, valueCharacters: 512 };
const templateArgumentLimits = { characters: 16_384, depth: 16 };

/**
 * Checks a conversation before anything is allocated for it; fields are those of ChatStart. Who may speak when is not looked at: that is for the model's
 * chat template to say.
 * @throws TesseraError REQUEST_INVALID, PROMPT_EMPTY, PROMPT_TOO_LONG, MEDIA_TOO_MANY, MEDIA_TOO_LARGE or UNSUPPORTED,
 *   naming the field
 */
export function checkConversation(start: ChatStart, limits: ConversationLimits): Conversation {
  const { messages, media, templateArguments } = start;
  refuseUnbuilt(start, unbuiltRequestFields);
  inRange('priority', start.priority, leastPriority, limits.maxPriority);
  const choices = checkChoices(start.choices, limits);
  if (messages.length === 0) throw new TesseraError('PROMPT_EMPTY', 'messages is empty', { field: 'messages' });
  if (messages.length > limits.messages) {
    throw invalid('messages', `has ${messages.length} entries; the limit is ${limits.messages}`);
  }
  checkMedia(media, limits);
  checkMessages(messages, media, limits);
  checkFacts(start);
  return {
    messages,
    media,
    text: checkTextOptions(start.text, limits),
    draw: checkDrawOptions(start.draw, limits),
    templateArguments,
    choices,
  };
}

function checkChoices(choices: number | undefined, limits: ConversationLimits): number {
  if (choices === undefined) return 1;
  if (choices === 0) throw invalid('choices', 'is 0; leave it out for one');
  if (choices > limits.choices) throw invalid('choices', `is ${choices}; the limit is ${limits.choices}`);
  return choices;
}

/** @throws TesseraError as checkConversation, about the declarations alone */
export function checkMedia(media: readonly Media[], limits: MediaDeclarationLimits): void {
  if (media.length > limits.mediaItems) {
    throw new TesseraError(
      'MEDIA_TOO_MANY',
      `the conversation has ${media.length} media items; the limit is ${limits.mediaItems}`,
      { field: 'media' },
    );
  }
  const names = new Set<string>();
  media.forEach(({ name, sizeBytes, source }, index) => {
    const where = `media[${index}]`;
    if (name === '') throw invalid(`${where}.name`, 'is empty');
    if (name.length > maxNameLength) throw invalid(`${where}.name`, `is longer than ${maxNameLength} characters`);
    if (names.has(name)) throw invalid(`${where}.name`, `is ${quoted(name)}, as that of an item before`);
    names.add(name);
    if (source === undefined) throw invalid(where, 'does not say where its bytes are; use parts, inline or digest');
    if (source.$case === 'digest' && !uploadDigest.test(source.value)) {
      throw invalid(`${where}.digest`, 'is not `sha256:` and 64 hex digits, as Upload gives them');
    }
    const size = source.$case === 'inline' ? BigInt(source.value.length) : sizeBytes;
    if (size !== undefined && size > BigInt(limits.itemBytes)) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `media ${quoted(name)} has ${size} bytes; the limit of one media item is ${limits.itemBytes}`,
        { field: source.$case === 'inline' ? `${where}.inline` : `${where}.size_bytes` },
      );
    }
  });
}

function checkMessages(messages: readonly ChatMessage[], media: readonly Media[], limits: ConversationLimits): void {
  const declared = new Set(media.map(({ name }) => name));
  const shown = new Set<string>();
  let occurrences = 0;
  let characters = 0;
  messages.forEach((message, index) => {
    if (message.role === Role.UNSPECIFIED || Role[message.role] === undefined) {
      throw invalid(`messages[${index}].role`, 'is missing; use ROLE_USER or another of the roles');
    }
    message.content.forEach(({ part }, at) => {
      const where = `messages[${index}].content[${at}]`;
      if (part === undefined) throw invalid(where, 'is neither text nor media');
      if (part.$case === 'text') {
        characters += part.value.length;
        return;
      }
      if (!declared.has(part.value)) {
        throw invalid(`${where}.media`, `is ${quoted(part.value)}, but media declares no such item`);
      }
      shown.add(part.value);
      occurrences++;
    });
  });
  const unseen = media.findIndex(({ name }) => !shown.has(name));
  if (unseen >= 0) throw invalid(`media[${unseen}]`, 'is declared, but no message shows it');
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
  const last = messages.at(-1) as ChatMessage;
  if (!last.content.some(({ part }) => part?.$case === 'media' || part?.value.trim() !== '')) {
    throw new TesseraError('PROMPT_EMPTY', 'the last message has neither text nor media', {
      field: `messages[${messages.length - 1}].content`,
    });
  }
}

/** What a request says of itself. */
function checkFacts({ user, metadata, templateArguments }: ChatStart): void {
  if (user.length > maxNameLength) throw invalid('user', `is longer than ${maxNameLength} characters`);
  const { entries, keyCharacters, valueCharacters } = metadataLimits;
  const pairs = Object.entries(metadata);
  if (pairs.length > entries) throw invalid('metadata', `has ${pairs.length} entries; the limit is ${entries}`);
  for (const [key, value] of pairs) {
    if (key === '' || key.length > keyCharacters || value.length > valueCharacters) {
      const most = `${keyCharacters} characters, or a value of more than ${valueCharacters}`;
      throw invalid('metadata', `has a key without or with more than ${most}: ${quoted(key)}`);
    }
  }
  if (templateArguments === undefined) return;
  const { characters, depth } = templateArgumentLimits;
  if (depthOf(templateArguments, depth) > depth) throw invalid('template_arguments', `is deeper than ${depth} levels`);
  if (JSON.stringify(templateArguments).length > characters) {
    throw invalid('template_arguments', `has more than ${characters} characters as JSON`);
  }
}

/** How deep a value is nested; looks no further than one level over the limit. */
function depthOf(value: unknown, limit: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (limit < 0) return 1;
  return 1 + Math.max(0, ...Object.values(value).map((inner) => depthOf(inner, limit - 1)));
}

const noTextOptions: TextOptions = TextOptions.fromPartial({});

function checkTextOptions(text: TextOptions | undefined, limits: ConversationLimits): TextOptions {
  if (text === undefined) return noTextOptions;
  checkTextBounds(text, 'text.');
  if (text.maxTokens === 0) {
    throw invalid('text.max_tokens', 'is 0; leave it out for the default, or ask for at least 1');
  }
  inRange('text.temperature', text.temperature, 0, 10);
  inRange('text.top_p', text.topP, 0, 1);
  if (text.topP === 0) throw invalid('text.top_p', 'is 0; it must be over 0 and at most 1');
  if (text.topK === 0) throw invalid('text.top_k', 'is 0; leave it out for all tokens, or give at least 1');
  if (text.repetitionPenalty === 0) throw invalid('text.repetition_penalty', 'is 0; it must be over 0, and 1 is none');
  inRange('text.repetition_penalty', text.repetitionPenalty, 0, 10);
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
