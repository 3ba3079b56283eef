import { TesseraError } from '@tessera/protocol';

/** Fields of an engine's request that a client's has, too. An item by its number is named as the client named it later. */
const shared = /^(media\[\d+\]$|text\b|draw\b)/;

/** Holds what is the client's own, under the same names. */
const conversation = 'conversation.';

/**
 * What an engine threw, with the field that it names as one of the client's `ChatStart`. One that clients do not have is
 * left out: it would send them looking for what they never wrote.
 */
export function inClientsFields(reason: unknown): unknown {
  if (!(reason instanceof TesseraError)) return reason;
  const { code, message, options } = reason;
  const { field } = options;
  if (field === undefined || shared.test(field)) return reason;
  if (!field.startsWith(conversation)) return new TesseraError(code, message, { ...options, field: undefined });
  const said = message.startsWith(field) ? message.slice(conversation.length) : message;
  return new TesseraError(code, said, { ...options, field: field.slice(conversation.length) });
}
