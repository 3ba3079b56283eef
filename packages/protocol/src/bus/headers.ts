/** Headers of every message on the streams. */
export const messageHeaders = {
  /** JetStream's own: a second message with an id seen within the dedup window is acknowledged but not stored. */
  id: 'Nats-Msg-Id',
  /** When the request ends, in milliseconds since the Unix epoch on the gateway's clock. */
  deadline: 'Tessera-Deadline',
  /** The request's attempt: readable even where the payload is not. */
  attempt: 'Tessera-Attempt',
  /** On jobs: the address of the process that waits for what comes of it, or for word that nothing will. */
  deliverTo: 'Tessera-Deliver-To',
  /** W3C trace context. */
  traceparent: 'traceparent',
} as const;

/** Reads a whole number from a header; undefined when it is absent or none. */
export function headerNumber(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,15}$/.test(value)) return undefined;
  return Number(value);
}
