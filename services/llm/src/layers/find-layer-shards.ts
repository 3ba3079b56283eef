import type { Bundle } from '@tessera/bundle';
import { type Bus, layerShards } from '@tessera/bus';
import { TesseraError } from '@tessera/protocol';
import type { MissingPieces } from './layer-links.js';
import { type LayerRoomOptions, layerRoom } from './layer-room.js';

/**
 * Waits until shards of all later pieces have announced themselves that have room for an engine's cache.
 * @param wanted what the engine would have of them
 * @param onMissing told what is waited for, whenever that changes
 * @returns positions that the engine may use in every piece
 * @throws TesseraError DRAINING when the signal aborts before
 */
export async function findLayerShards(
  bus: Bus,
  bundle: Bundle,
  wanted: LayerRoomOptions,
  onMissing: (missing: MissingPieces) => void,
  drain: AbortSignal,
): Promise<number> {
  const cut = bundle.layerPieces;
  const looking = new AbortController();
  try {
    return await new Promise<number>((resolve, reject) => {
      const stop = (): void => reject(new TesseraError('DRAINING', 'the engine shuts down'));
      drain.addEventListener('abort', stop, { once: true, signal: looking.signal });
      if (drain.aborted) stop();
      let told = '';
      const look = (shards: Parameters<typeof layerRoom>[1]): void => {
        const room = layerRoom(cut, shards, wanted);
        if ('positions' in room) resolve(room.positions);
        else if (room.inWords !== told) onMissing(room);
        told = 'positions' in room ? '' : room.inWords;
      };
      look([]);
      bus.watchShards(layerShards, look, looking.signal);
    });
  } finally {
    looking.abort();
  }
}
