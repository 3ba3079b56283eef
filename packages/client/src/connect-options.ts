/** Whom to trust, and how to prove oneself. Certificates and keys are the text of PEM files. */
export interface TlsOptions {
  /** The authorities that are trusted; absent: those that come with Node. */
  readonly ca?: string | Uint8Array;
  /** The client's own certificate, where the server asks for one; with `key`. */
  readonly cert?: string | Uint8Array;
  /** The key of `cert`. */
  readonly key?: string | Uint8Array;
  /** The name in the server's certificate, where it is not that of the address. */
  readonly serverName?: string;
}

/**
 * When a failed call is made again: only for errors that are `retryable`, and of an answer only while nothing of it (no
 * text, no picture) has come.
 */
export interface RetryOptions {
  /** How often a call is made at most, the first time included; 1 for never again. 4 if absent. */
  readonly maxAttempts?: number;
  /** The pause after the first failure, doubled after each, where the server says none; less up to half, at random. 200 if absent. */
  readonly firstPauseMs?: number;
  /** The longest pause. A server that asks for a longer one has its error told at once. 20000 if absent. */
  readonly maxPauseMs?: number;
}

/** Bounds on pictures that are fetched from a URL. */
export interface FetchOptions {
  /** The most bytes of one picture. 33554432 (32 MiB) if absent. */
  readonly maxBytes?: number;
  /** How long fetching one picture may take. 30000 if absent. */
  readonly timeoutMs?: number;
}

/** How to reach a gateway, and what holds for every call. */
export interface ConnectOptions {
  /** TLS; `true` trusts the authorities that come with Node. Absent: none. */
  readonly tls?: true | TlsOptions;
  /** Sent with every call, such as a key that a proxy before the gateway asks for: `{ authorization: 'Bearer ...' }`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How long a call may take that does not say so itself. 120000 if absent. */
  readonly timeoutMs?: number;
  /** When failed calls are made again. */
  readonly retry?: RetryOptions;
  /** Bounds on pictures that are fetched. */
  readonly fetch?: FetchOptions;
}
