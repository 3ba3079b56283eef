import { readFile } from 'node:fs/promises';
import { outsideText, TesseraError } from '@tessera/protocol';
import type { FetchOptions } from './connect-options.js';
import type { LocalMediaSource, MediaSource } from './conversation.js';
import { fetchBytes } from './fetch-bytes.js';

/**
 * The bytes of a media item.
 * @throws TesseraError REQUEST_INVALID for what cannot be read or fetched, MEDIA_TOO_LARGE for more than may be fetched
 */
export async function loadMedia(
  source: LocalMediaSource,
  options: FetchOptions,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if ('bytes' in source) return source.bytes;
  if ('url' in source) return await fetchBytes(source.url, options, signal);
  try {
    return await readFile(source.file, { signal });
  } catch (cause) {
    throw new TesseraError('REQUEST_INVALID', `${source.file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** The most bytes of an item's name. */
const maxNameBytes = 256;

/** A name for an item that says where it is from, as the contract takes it. */
export function mediaName(source: MediaSource, otherwise: string): string {
  return outsideText(sourceName(source) ?? otherwise, maxNameBytes);
}

/** What an item is called where its bytes' place has a name; undefined elsewhere. */
export function sourceName(source: MediaSource): string | undefined {
  if ('file' in source) return source.file.split(/[/\\]/).at(-1);
  if (!('url' in source)) return undefined;
  const text = String(source.url);
  return text.startsWith('data:') ? undefined : text.split(/[?#]/)[0]?.split('/').at(-1) || undefined;
}
