import type { LayerCut } from '@tessera/bundle';
import type { LayerHoldings } from '@tessera/protocol';
import { shardOfPiece } from './piece-words.js';

/** A layer shard, as far as its room is concerned. */
interface ShardRoom {
  readonly address: string;
  readonly holdings: Pick<LayerHoldings, 'piece' | 'positions' | 'freePositions' | 'draining'>;
}

/** How many positions of cache an engine takes in every piece; or what it waits for. */
export type LayerRoom = { readonly positions: number } | { readonly count: number; readonly inWords: string };

export interface LayerRoomOptions {
  /** Positions that the engine may have itself. */
  readonly own: number;
  /** How many engines share each shard. */
  readonly enginesPerShard: number;
}

/**
 * An engine takes as many positions as it may have itself, or its share of the smallest shard of any piece where that is
 * less, so that each can take over from another one. Where they are other engines', it waits for them.
 */
export function layerRoom(
  cut: LayerCut,
  shards: readonly ShardRoom[],
  { own, enginesPerShard }: LayerRoomOptions,
): LayerRoom {
  const later = cut.pieces.slice(1).map((_, index) => {
    const holders = shards.filter(({ holdings }) => holdings.piece === index + 1 && !holdings.draining);
    return { piece: index + 1, holders };
  });
  const nameOf = ({ piece }: { piece: number }): string => shardOfPiece(cut, piece);
  const absent = later.filter(({ holders }) => holders.length === 0);
  if (absent.length > 0) return { count: absent.length, inWords: absent.map(nameOf).join(' and ') };
  const all = later.flatMap(({ holders }) => holders.map(({ holdings }) => Number(holdings.positions)));
  const positions = Math.min(own, Math.floor(Math.min(...all) / enginesPerShard));
  const full = later.filter(({ holders }) =>
    holders.every(({ holdings }) => Number(holdings.freePositions) < positions),
  );
  if (full.length === 0) return { positions };
  const free = full.flatMap(({ holders }) =>
    holders.map(({ address, holdings }) => `${address} has ${holdings.freePositions} of ${holdings.positions}`),
  );
  const what = full.map(nameOf).join(' and ');
  const inWords =
    `${what} with ${positions} positions of KV cache that no other engine has: ${free.join(', ')}; ` +
    "set the shard's kv.maxBytes or layers.enginesPerShard higher, or kv.maxBytes of the engines lower";
  return { count: full.length, inWords };
}
