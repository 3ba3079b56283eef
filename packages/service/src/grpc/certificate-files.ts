import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { experimental } from '@grpc/grpc-js';
import { TesseraError } from '@tessera/protocol';

/** PEM files of one side of a TLS connection. */
export interface TlsFiles {
  /** Whom to trust. */
  readonly caFile?: string;
  /** Who one is; the key comes with it. */
  readonly certFile?: string;
  readonly keyFile?: string;
}

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

interface Pems {
  readonly ca?: Buffer;
  readonly identity?: { readonly certificate: Buffer; readonly privateKey: Buffer };
}

/**
 * Certificates that are read again now and then, since they are renewed in the same files: new connections use the new
 * ones. What cannot be read, or does not fit together, is not taken: the last good ones stay.
 */
export class CertificateFiles implements experimental.CertificateProvider {
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  #timer: NodeJS.Timeout | undefined;
  #pems: Pems;

  /**
   * @param onTrouble told when files that were good cannot be used any more
   * @throws TesseraError CONFIG_INVALID when a file cannot be used from the start
   */
  constructor(
    private readonly files: TlsFiles,
    private readonly refreshMs: number,
    private readonly onTrouble: (error: TesseraError) => void,
  ) {
    this.#pems = read(files);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    this.#begin(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
    this.#endUnused();
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    this.#begin(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
    this.#endUnused();
  }

  /** gRPC is ready for a first answer only after it has asked. */
  #begin(tell: () => void): void {
    process.nextTick(tell);
    this.#timer ??= setInterval(() => this.#refresh(), this.refreshMs).unref();
  }

  #endUnused(): void {
    if (this.#caListeners.size + this.#identityListeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #refresh(): void {
    try {
      const pems = read(this.files);
      if (isSame(pems, this.#pems)) return;
      this.#pems = pems;
    } catch (reason) {
      this.onTrouble(TesseraError.from(reason));
      return;
    }
    for (const listener of this.#caListeners) this.#tellCa(listener);
    for (const listener of this.#identityListeners) this.#tellIdentity(listener);
  }

  #tellCa(listener: CaListener): void {
    const { ca } = this.#pems;
    listener(ca === undefined ? null : { caCertificate: ca });
  }

  #tellIdentity(listener: IdentityListener): void {
    listener(this.#pems.identity ?? null);
  }
}

/** Reads the files and sees that they are what they should be, together. */
function read({ caFile, certFile, keyFile }: TlsFiles): Pems {
  const ca = caFile === undefined ? undefined : readPem(caFile);
  const certificate = certFile === undefined ? undefined : readPem(certFile);
  const privateKey = keyFile === undefined ? undefined : readPem(keyFile);
  if ((certificate === undefined) !== (privateKey === undefined)) {
    const only = certFile ?? keyFile;
    throw new TesseraError('CONFIG_INVALID', `a certificate and its key come together; there is only ${only}`);
  }
  try {
    createSecureContext({ ca, cert: certificate, key: privateKey });
  } catch (cause) {
    const files = [caFile, certFile, keyFile].filter((file) => file !== undefined).join(', ');
    throw new TesseraError('CONFIG_INVALID', `TLS cannot use ${files}: ${(cause as Error).message}`, { cause });
  }
  return {
    ca,
    identity: certificate === undefined || privateKey === undefined ? undefined : { certificate, privateKey },
  };
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function isSame(one: Pems, other: Pems): boolean {
  const parts = ({ ca, identity }: Pems) =>
    Buffer.concat([ca, identity?.certificate, identity?.privateKey].filter((each) => each !== undefined));
  return parts(one).equals(parts(other));
}
