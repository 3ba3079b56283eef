import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { TesseraError } from '@tessera/protocol';

/** What the environment says of the hub, by the variables that Hugging Face's own tools read. */
export interface HubSurroundings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Where models--ORG--NAME folders are. */
  readonly cacheDir: string;
  readonly token?: string;
  /** How long a server may be silent. */
  readonly timeoutMs: number;
  /** Whether nothing may be asked of the hub. */
  readonly offline: boolean;
}

const defaultEndpoint = 'https://huggingface.co';
const defaultTimeoutS = 30;
/** Node's fetch waits no longer, whatever it is told. Other tools may: what is more is taken for this. */
const maxTimeoutMs = 300_000;
/** A token file is one line; what is longer is another file. */
const maxTokenBytes = 4096;

/** @throws TesseraError CONFIG_INVALID naming the variable that is wrong */
export async function hubSurroundings(env: NodeJS.ProcessEnv = process.env): Promise<HubSurroundings> {
  const given = (name: string): string | undefined => (env[name]?.trim() ? env[name]?.trim() : undefined);
  const folder = (name: string): string | undefined => {
    const path = given(name);
    return path === undefined ? undefined : resolve(path.replace(/^~(?=\/|$)/, homedir()));
  };
  const home = folder('HF_HOME') ?? join(folder('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface');
  return {
    endpoint: endpointOf(given('HF_ENDPOINT') ?? defaultEndpoint),
    cacheDir: folder('HF_HUB_CACHE') ?? folder('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub'),
    token: tokenOf(
      given('HF_TOKEN') ??
        given('HUGGING_FACE_HUB_TOKEN') ??
        (await tokenFile(folder('HF_TOKEN_PATH') ?? join(home, 'token'))),
    ),
    timeoutMs: timeoutOf(given('HF_HUB_DOWNLOAD_TIMEOUT')),
    offline: /^(1|true|yes|on)$/i.test(given('HF_HUB_OFFLINE') ?? given('TRANSFORMERS_OFFLINE') ?? ''),
  };
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new TesseraError('CONFIG_INVALID', `HF_ENDPOINT is "${text}"; it is a URL, such as ${defaultEndpoint}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new TesseraError('CONFIG_INVALID', 'HF_ENDPOINT has a password in it; give a token as HF_TOKEN');
  }
  return url.href.replace(/\/+$/, '');
}

function timeoutOf(text: string | undefined): number {
  const seconds = text === undefined ? defaultTimeoutS : Number(text);
  if (seconds > 0) return Math.min(maxTimeoutMs, Math.ceil(seconds * 1000));
  throw new TesseraError('CONFIG_INVALID', `HF_HUB_DOWNLOAD_TIMEOUT is "${text}"; it is a number of seconds`);
}

function tokenOf(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new TesseraError(
    'CONFIG_INVALID',
    'the token of the hub (HF_TOKEN, or its file) is not one word of plain letters',
  );
}

async function tokenFile(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    return text.length > maxTokenBytes ? undefined : text.trim();
  } catch {
    // None was left there by a login, or it is not ours to read.
    return undefined;
  }
}
