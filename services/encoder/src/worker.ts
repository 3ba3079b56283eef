import type { Bus, JobContext } from '@tessera/bus';
import { connectQueue, type EncodeJob, encodeQueue, Modality, TesseraError } from '@tessera/protocol';
import { jobTiming } from '@tessera/stage';
import type { ItemEncoder } from './item-encoder.js';

/**
 * Does encode jobs: from the media's bytes to a connect job for each tile of the range.
 * A job that is delivered again makes the same messages under the same ids, so tiles are not doubled.
 */
export function encodeJobHandler(bus: Bus, encoder: ItemEncoder) {
  return async (job: EncodeJob, context: JobContext): Promise<void> => {
    const { key, media, modality, size, firstTile, tileCount } = job;
    if (key === undefined || media === undefined || size === undefined) {
      throw new TesseraError('REQUEST_INVALID', 'an encode job needs key, media and size');
    }
    if (modality !== Modality.IMAGE) throw new TesseraError('UNSUPPORTED', 'this encoder takes pictures only');
    const { signal, deadlineMs, deliverTo } = context;
    const bytes = await context.waits(bus.getMedia(media, signal));
    const range = { firstTile, tileCount };
    const { idle: whileWaiting } = context;
    for await (const encoded of encoder.encode({ bytes, expectedSize: size, range, signal, whileWaiting })) {
      const tile = encoded.tile.index;
      const timing = jobTiming(encodeQueue, context, encoded);
      // Where the stream or the queue is full, it is others' work to empty it.
      const to = { deadlineMs, signal, deliverTo };
      const features = await context.waits(bus.storeTensor(key, tile, encoded.features, to));
      await context.waits(bus.publish(connectQueue, { key, tile, features, encoder: timing }, to));
      context.progress();
    }
  };
}
