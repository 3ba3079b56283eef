import { TesseraError } from './errors.js';
import { type ChatStart, MediaDetail, Modality, type TextOptions } from './messages.js';

/** A field of the contract that is laid down and not built: it is refused where it is set, and never ignored. */
export interface UnbuiltField<T> {
  /** Its path. Covers the fields below it. */
  readonly field: string;
  /** Whether this message asks for what is not built. */
  readonly asksFor: (message: T) => boolean;
  /** What of it is refused, where that is not everything. */
  readonly what?: string;
}

/** Of how a text is written; both the gateway and the engines refuse them. */
export const unbuiltTextOptions: readonly UnbuiltField<TextOptions>[] = [
  { field: 'min_tokens', asksFor: ({ minTokens }) => minTokens !== undefined },
  { field: 'min_p', asksFor: ({ minP }) => minP !== undefined },
  { field: 'presence_penalty', asksFor: ({ presencePenalty }) => presencePenalty !== undefined },
  { field: 'frequency_penalty', asksFor: ({ frequencyPenalty }) => frequencyPenalty !== undefined },
  { field: 'logit_bias', asksFor: ({ logitBias }) => Object.keys(logitBias).length > 0 },
  { field: 'stop_token_ids', asksFor: ({ stopTokenIds }) => stopTokenIds.length > 0 },
  { field: 'logprobs', asksFor: ({ logprobs }) => logprobs !== undefined },
  { field: 'response_format', asksFor: ({ responseFormat }) => responseFormat !== undefined },
];

const builtDetails: ReadonlySet<MediaDetail> = new Set([MediaDetail.UNSPECIFIED, MediaDetail.HIGH]);

/** Of a request at the front door, `text` left out. */
export const unbuiltRequestFields: readonly UnbuiltField<ChatStart>[] = [
  {
    field: 'messages[].tool_calls',
    asksFor: ({ messages }) => messages.some(({ toolCalls }) => toolCalls.length > 0),
  },
  {
    field: 'messages[].tool_call_id',
    asksFor: ({ messages }) => messages.some(({ toolCallId }) => toolCallId !== ''),
  },
  {
    field: 'media[].modality',
    asksFor: ({ media }) =>
      media.some(({ modality }) => modality !== Modality.UNSPECIFIED && modality !== Modality.IMAGE),
    what: 'any but MODALITY_IMAGE',
  },
  {
    field: 'media[].detail',
    asksFor: ({ media }) => media.some(({ detail }) => !builtDetails.has(detail)),
    what: 'any but MEDIA_DETAIL_HIGH',
  },
  { field: 'choices', asksFor: ({ choices }) => choices !== undefined && choices > 1, what: 'more than 1' },
  { field: 'output_modalities', asksFor: ({ outputModalities }) => outputModalities.length > 0 },
  { field: 'tools', asksFor: ({ tools }) => tools !== undefined },
  { field: 'priority', asksFor: ({ priority }) => priority !== 0, what: 'any but 0' },
];

/** Methods of the front door that are laid down and not built. */
export const unbuiltMethods: readonly string[] = ['Resume'];

/** @throws TesseraError UNSUPPORTED naming the first field that asks for what is not built */
export function refuseUnbuilt<T>(message: T, fields: readonly UnbuiltField<T>[], path = ''): void {
  for (const { field, asksFor, what } of fields) {
    if (!asksFor(message)) continue;
    const name = `${path}${field}`;
    throw new TesseraError('UNSUPPORTED', `${name}${what === undefined ? '' : ` (${what})`} is not built yet`, {
      field: name,
    });
  }
}
