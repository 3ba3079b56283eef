import { createHash } from 'node:crypto';
import type { Prompt } from './prompt.js';

/** Token ids are 0 or more; what is not text has numbers below. */
const firstMediaKey = -1;
const mediaKeys = 2 ** 52;

/**
 * What stands at each position of a prompt, as a number: a token's id, or for a visual token one made of the digest of
 * its media item, its tile and its place. NaN where the item has no digest: that is like nothing else.
 * @param digests of the media items: of their bytes and of all that their visual tokens depend on; empty where unknown
 */
export function contentKeys({ tokenIds, spans }: Prompt, digests: readonly Uint8Array[]): number[] {
  const keys = [...tokenIds];
  const starts = new Map<string, number>();
  for (const { item, tile, start, length } of spans) {
    const digest = digests[item];
    const key = `${item}/${tile}`;
    if (!starts.has(key))
      starts.set(key, digest === undefined || digest.length === 0 ? Number.NaN : hash(digest, tile));
    const first = starts.get(key) as number;
    for (let n = 0; n < length; n++) keys[start + n] = firstMediaKey - ((first + n) % mediaKeys);
  }
  return keys;
}

/** 52 bits, which a number holds whole. */
function hash(digest: Uint8Array, tile: number): number {
  const bytes = createHash('sha256').update(digest).update(`/${tile}`).digest();
  return bytes.readUIntBE(0, 6) * 16 + ((bytes[6] as number) >> 4);
}
