import { credentials } from '@grpc/grpc-js';
import type { ChannelSettings } from './create-grpc-client.js';

/** Whom a channel trusts and how it proves itself: the text of PEM files. */
export interface TlsIdentity {
  /** Absent: the authorities that come with Node. */
  readonly ca?: string | Uint8Array;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  readonly serverName?: string;
}

/**
 * The settings of a channel over TLS.
 * @throws Error for certificates that cannot be used
 */
export function tlsChannel({ ca, cert, key, serverName }: TlsIdentity): ChannelSettings {
  const pem = (text: string | Uint8Array | undefined) => (text === undefined ? null : Buffer.from(text));
  return { credentials: credentials.createSsl(pem(ca), pem(key), pem(cert)), serverName };
}
