import { TesseraError } from '@tessera/protocol';

export interface UploadSharesOptions {
  /** Bytes that the kept uploads of one client may have together. */
  readonly bytes: number;
  /** Unix ms. */
  readonly now?: () => number;
}

/** The room of an upload that is being stored. Disposed of without `keep`, it is given back. */
export interface UploadClaim extends Disposable {
  /** @param expiresAtMs until when the upload is kept, Unix ms */
  keep(expiresAtMs: number): void;
}

interface Kept {
  readonly bytes: number;
  expiresAtMs: number;
  /** Claims on it that are open: it is being stored. */
  claims: number;
}

interface Client {
  readonly uploads: Map<string, Kept>;
  bytes: number;
}

/** About what JetStream keeps of an upload besides its bytes; it also bounds how many small ones there can be. */
const overheadBytes = 1024;

/** When uploads that are being stored at this moment may be over. */
const storingMs = 1000;

/**
 * Keeps one client from filling the room of all clients' uploads. An upload counts once for each client that sends it, and
 * one that comes again counts once: whether somebody else has sent the same bytes cannot be told from outside. What this
 * gateway took in is counted, and forgotten when it is not kept any more.
 */
export class UploadShares {
  private readonly clients = new Map<string, Client>();
  private readonly limitBytes: number;
  private readonly now: () => number;

  constructor({ bytes, now = Date.now }: UploadSharesOptions) {
    this.limitBytes = bytes;
    this.now = now;
  }

  /** Clients with an upload that is kept. */
  get size(): number {
    return this.clients.size;
  }

  /**
   * Takes room for an upload, before it is stored.
   * @throws TesseraError QUEUE_FULL when the client's other uploads leave none; MEDIA_TOO_LARGE when they never could
   */
  claim(name: string, { digest, bytes }: { readonly digest: string; readonly bytes: number }): UploadClaim {
    this.forget();
    const client = this.clients.get(name) ?? { uploads: new Map<string, Kept>(), bytes: 0 };
    let kept = client.uploads.get(digest);
    if (kept === undefined) {
      kept = { bytes: bytes + overheadBytes, expiresAtMs: 0, claims: 0 };
      this.refuseBeyond(client, kept.bytes);
      client.uploads.set(digest, kept);
      client.bytes += kept.bytes;
      this.clients.set(name, client);
    }
    kept.claims++;
    const { uploads } = client;
    const upload = kept;
    let isOpen = true;
    const close = (): void => {
      if (isOpen) upload.claims--;
      isOpen = false;
    };
    return {
      keep: (expiresAtMs) => {
        close();
        upload.expiresAtMs = Math.max(upload.expiresAtMs, expiresAtMs);
        // Those at the front are the first to be forgotten.
        uploads.delete(digest);
        uploads.set(digest, upload);
      },
      [Symbol.dispose]: () => {
        close();
        if (upload.claims === 0 && upload.expiresAtMs <= this.now()) this.drop(name, client, digest);
      },
    };
  }

  private refuseBeyond(client: Client, bytes: number): void {
    if (bytes > this.limitBytes) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `an upload of ${bytes - overheadBytes} bytes does not fit, even alone: one client's uploads may have ${this.limitBytes} bytes`,
      );
    }
    if (client.bytes + bytes <= this.limitBytes) return;
    let freeBytes = this.limitBytes - client.bytes;
    let freeAtMs = this.now() + storingMs;
    for (const kept of client.uploads.values()) {
      if (kept.claims > 0) continue;
      freeBytes += kept.bytes;
      freeAtMs = kept.expiresAtMs;
      if (freeBytes >= bytes) break;
    }
    const message = `this client's uploads have ${client.bytes} bytes, and ${this.limitBytes} is the limit of one client; the next one leaves when it is old`;
    throw new TesseraError('QUEUE_FULL', message, { retryAfterMs: Math.max(1, freeAtMs - this.now()) });
  }

  private forget(): void {
    for (const [name, client] of this.clients) this.forgetOf(name, client);
  }

  private forgetOf(name: string, client: Client): void {
    const nowMs = this.now();
    for (const [digest, { claims, expiresAtMs }] of client.uploads) {
      if (claims > 0) continue;
      if (expiresAtMs > nowMs) break;
      this.drop(name, client, digest);
    }
  }

  private drop(name: string, client: Client, digest: string): void {
    const kept = client.uploads.get(digest);
    if (kept === undefined) return;
    client.uploads.delete(digest);
    client.bytes -= kept.bytes;
    if (client.uploads.size === 0) this.clients.delete(name);
  }
}
