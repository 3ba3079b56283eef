/** What a call says of its caller. */
export interface Caller {
  /** `address:port`, as gRPC reports it. */
  readonly peer: string;
  readonly metadata: { get(key: string): string | Uint8Array | undefined };
}

/**
 * Who a caller is, for limits: what a trusted proxy in front says under the key, else the address that the call comes
 * from, whatever its port.
 */
export function clientName({ peer, metadata }: Caller, key: string | undefined): string {
  const said = key === undefined ? undefined : metadata.get(key);
  if (typeof said === 'string' && said !== '') return `said:${said}`;
  return `peer:${peer.replace(/:\d+$/, '')}`;
}
