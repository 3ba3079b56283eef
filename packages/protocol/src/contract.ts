import { TesseraError } from './errors.js';
import { type ChatMessage, type ChatStart, type Media, MediaDetail, Modality } from './messages.js';

/** A field of the contract that is laid down and not built: it is refused where it is set, and never ignored. */
export interface UnbuiltField<T> {
  /** Its path, with `[]` for every entry of a list. Covers the fields below it. */
  readonly field: string;
  /** Where a message asks for what is not built: the path, with the number of the first entry that does. */
  readonly find: (message: T) => string | undefined;
  /** What of it is refused, where that is not everything. */
  readonly what: string | undefined;
}

function unbuilt<T>(field: string, asksFor: (message: T) => boolean, what?: string): UnbuiltField<T> {
  return { field, find: (message) => (asksFor(message) ? field : undefined), what };
}

/** Of the entries of a list. */
function unbuiltInEach<List extends string, Entry>(
  list: List,
  field: string,
  asksFor: (entry: Entry) => boolean,
  what?: string,
): UnbuiltField<Readonly<Record<List, readonly Entry[]>>> {
  const find = (message: Readonly<Record<List, readonly Entry[]>>): string | undefined => {
    const index = message[list].findIndex(asksFor);
    return index < 0 ? undefined : `${list}[${index}].${field}`;
  };
  return { field: `${list}[].${field}`, find, what };
}

const builtDetails: ReadonlySet<MediaDetail> = new Set([MediaDetail.UNSPECIFIED, MediaDetail.HIGH]);

/** Of a request at the front door. */
export const unbuiltRequestFields: readonly UnbuiltField<ChatStart>[] = [
  unbuiltInEach('messages', 'tool_calls', ({ toolCalls }: ChatMessage) => toolCalls.length > 0),
  unbuiltInEach('messages', 'tool_call_id', ({ toolCallId }: ChatMessage) => toolCallId !== ''),
  unbuiltInEach(
    'media',
    'modality',
    ({ modality }: Media) => modality !== Modality.UNSPECIFIED && modality !== Modality.IMAGE,
    'any but MODALITY_IMAGE',
  ),
  unbuiltInEach('media', 'detail', ({ detail }: Media) => !builtDetails.has(detail), 'any but MEDIA_DETAIL_HIGH'),
  unbuilt('output_modalities', ({ outputModalities }) => outputModalities.length > 0),
  unbuilt('tools', ({ tools }) => tools !== undefined),
];

/** Methods of the front door that are laid down and not built. */
export const unbuiltMethods: readonly string[] = ['Resume'];

/**
 * @param path of the message, with a dot behind it
 * @throws TesseraError UNSUPPORTED naming the first field that asks for what is not built
 */
export function refuseUnbuilt<T>(message: T, fields: readonly UnbuiltField<T>[], path = ''): void {
  for (const { find, what } of fields) {
    const found = find(message);
    if (found === undefined) continue;
    const field = `${path}${found}`;
    const said = `${field}${what === undefined ? '' : ` (${what})`} is not built yet`;
    throw new TesseraError('UNSUPPORTED', said, { field });
  }
}
