import { type PromptConversation, type PromptPart, TesseraError } from '@tessera/protocol';
import type { Conversation } from './check-conversation.js';

/** A conversation for an engine, which knows media by number; names are the client's. */
export function numberMedia(
  { messages, templateArguments }: Conversation,
  itemOf: ReadonlyMap<string, number>,
): PromptConversation {
  const numbered = messages.map(({ role, content }) => ({
    role,
    content: content.map(({ part }): PromptPart => {
      if (part?.$case !== 'media') return { part };
      const item = itemOf.get(part.value);
      if (item === undefined) throw new TesseraError('INTERNAL', 'a media item has no number');
      return { part: { $case: 'media', value: item } };
    }),
  }));
  return { messages: numbered, templateArguments };
}
