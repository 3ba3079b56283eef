import type { StreamKind } from './subjects.js';

/** Headers of every message on the streams. */
export const messageHeaders = {
  /** JetStream's own: a second message with an id seen within the dedup window is acknowledged but not stored. */
  id: 'Nats-Msg-Id',
  /** When the request ends, in milliseconds since the Unix epoch on the gateway's clock. */
  deadline: 'Tessera-Deadline',
  /** The request's attempt: readable even where the payload is not. */
  attempt: 'Tessera-Attempt',
  /** W3C trace context. */
  traceparent: 'traceparent',
} as const;

/** What makes a message one of a kind. */
export interface MessageIdentity {
  readonly kind: StreamKind;
  readonly requestId: string;
  readonly item: number;
  readonly tile: number;
  readonly part: number | string;
  readonly attempt: number;
  readonly revision: string;
}

/**
 * The message id. The attempt stands in it, since publishing an acknowledged id again within the dedup window stores
 * nothing: what was lost can only be made again under a new attempt.
 */
export function messageId(of: MessageIdentity): string {
  return `${of.requestId}/${of.item}/${of.tile}/${of.part}/${of.attempt}/${of.revision}/${of.kind}`;
}

/** Reads a whole number from a header; undefined when it is absent or none. */
export function headerNumber(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,15}$/.test(value)) return undefined;
  return Number(value);
}
