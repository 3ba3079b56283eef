import type { ProductKind, ProductPlace } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';

/** Makes of the messages for one request what its reader gets. */
export interface Assembly<Item> {
  /** What a message completes, in order; a message that is corrupt, late or there already completes nothing. */
  add(at: ProductPlace, payload: Uint8Array): readonly Item[];
  /** Whether the tile is there, so that word of its failure comes too late. */
  has(at: ProductPlace): boolean;
  /** The request has ended. */
  close(): void;
}

/** Counts and logs a message that was thrown away. */
export function drop(
  { log, observer }: BusConnection,
  kind: ProductKind,
  { requestId, item, tile, part }: ProductPlace,
  { why, detail }: { readonly why: 'duplicate' | 'corrupt' | 'stale' | 'overflow'; readonly detail?: string },
): void {
  observer.dropped?.(kind, why);
  if (why === 'corrupt' || why === 'overflow') {
    log.warn({ kind, requestId, item, tile, part, why, detail }, 'a message was dropped');
  }
}
