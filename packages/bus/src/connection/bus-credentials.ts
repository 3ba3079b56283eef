import { readFileSync } from 'node:fs';
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
  type TlsOptions,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import { TesseraError } from '@tessera/protocol';
import type { BusLogger } from './bus-logger.js';

/**
 * How a process proves itself to NATS, and whom it trusts. Secrets are in files, which are read at each connection, so
 * that a renewed one is used from the next on; none is kept in a setting, a message or a log.
 */
export interface BusCredentials {
  readonly user?: string;
  readonly passwordFile?: string;
  readonly tokenFile?: string;
  /** An nkey's seed. */
  readonly nkeyFile?: string;
  /** A user's JWT and its seed, as `nsc` writes them. */
  readonly credentialsFile?: string;
  /** Whether a server without TLS is refused; with any of the files below it is. */
  readonly requireTls?: boolean;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The name in the server's certificate where it is not that of the URL. */
  readonly serverName?: string;
}

/**
 * The part of the client's options that these are.
 * @throws TesseraError CONFIG_INVALID when they contradict each other, or a file cannot be read
 */
export function credentialOptions(
  credentials: BusCredentials,
  log: BusLogger,
): Pick<ConnectionOptions, 'authenticator' | 'tls' | 'ignoreAuthErrorAbort'> {
  return {
    ...authentication(credentials, log),
    ...tls(credentials),
    // A secret that is being renewed is refused for a while; giving up then would leave a process without its bus.
    ignoreAuthErrorAbort: true,
  };
}

/**
 * Refuses a URL that holds a secret: it would be shown wherever the URL is, and the client does not use it.
 * @throws TesseraError CONFIG_INVALID
 */
export function refuseSecretsIn(url: string): void {
  if (!url.split(',').some((server) => server.includes('@'))) return;
  throw new TesseraError(
    'CONFIG_INVALID',
    'nats.url holds a user or a token; take it out and give nats.user and nats.passwordFile, or nats.tokenFile',
  );
}

function authentication(credentials: BusCredentials, log: BusLogger): { authenticator?: Authenticator } {
  const { user, passwordFile, tokenFile, nkeyFile, credentialsFile } = credentials;
  const ways = [
    ['nats.user', user],
    ['nats.tokenFile', tokenFile],
    ['nats.nkeyFile', nkeyFile],
    ['nats.credentialsFile', credentialsFile],
  ].flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (ways.length > 1) {
    throw new TesseraError('CONFIG_INVALID', `${ways.join(' and ')} are different ways to prove oneself; give one`);
  }
  if (passwordFile !== undefined && user === undefined) {
    throw new TesseraError('CONFIG_INVALID', 'nats.passwordFile needs nats.user, whose password it is');
  }
  const secret = (setting: string, path: string) => new SecretFile(`nats.${setting}`, path, log);
  if (user !== undefined) {
    const password = passwordFile === undefined ? undefined : secret('passwordFile', passwordFile);
    return { authenticator: usernamePasswordAuthenticator(user, () => password?.text() ?? '') };
  }
  if (tokenFile !== undefined) {
    const token = secret('tokenFile', tokenFile);
    return { authenticator: tokenAuthenticator(() => token.text()) };
  }
  if (nkeyFile !== undefined) {
    const seed = secret('nkeyFile', nkeyFile);
    return {
      authenticator: tried(
        nkeyAuthenticator(() => Buffer.from(seed.text())),
        nkeyFile,
      ),
    };
  }
  if (credentialsFile !== undefined) {
    const file = secret('credentialsFile', credentialsFile);
    // The client takes the last line only with its end.
    return {
      authenticator: tried(
        credsAuthenticator(() => Buffer.from(`${file.text()}\n`)),
        credentialsFile,
      ),
    };
  }
  return {};
}

/** @throws TesseraError CONFIG_INVALID when the file is not of its kind: later nobody would be told */
function tried(authenticator: Authenticator, path: string): Authenticator {
  try {
    authenticator('nonce');
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `${path} holds nothing to prove oneself with: ${messageOf(cause)}`);
  }
  return authenticator;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function tls({ requireTls, caFile, certFile, keyFile, serverName }: BusCredentials): { tls?: TlsOptions } {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new TesseraError('CONFIG_INVALID', 'nats.certFile and nats.keyFile come together; there is only one of them');
  }
  const files = { caFile, certFile, keyFile };
  const given = Object.entries(files).filter((file): file is [string, string] => file[1] !== undefined);
  if (given.length === 0 && serverName === undefined && requireTls !== true) return {};
  // The client reads them at each connection; what is wrong from the start is told now.
  for (const [name, path] of given) readSecret(`nats.${name}`, path);
  // The client hands on to node:tls what it does not know itself.
  return { tls: { ...files, ...(serverName === undefined ? {} : { servername: serverName }) } as TlsOptions };
}

/** A secret that may be renewed at any time. While its file cannot be read, the last one counts. */
class SecretFile {
  private last: string;

  /** @param setting that names the file */
  constructor(
    private readonly setting: string,
    private readonly path: string,
    private readonly log: BusLogger,
  ) {
    this.last = readSecret(setting, path);
  }

  text(): string {
    try {
      this.last = readSecret(this.setting, this.path);
    } catch (reason) {
      this.log.warn({ reason: messageOf(reason) }, 'a secret for NATS cannot be read; the last one is used');
    }
    return this.last;
  }
}

function readSecret(setting: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `${setting} names ${path}, which cannot be read: ${messageOf(cause)}; mount the secret that holds it`,
      { cause },
    );
  }
  if (text === '') throw new TesseraError('CONFIG_INVALID', `${setting} names ${path}, which is empty`);
  return text;
}
