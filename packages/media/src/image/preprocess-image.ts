import type { Preprocessing } from '@tessera/bundle';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import type { ImageRaster } from '../media-info.js';
import type { PlannedTile } from '../plan-tiles.js';
import { placeView } from './place-view.js';
import { resample } from './resample.js';

/** pixel_values of each of the 256 values a channel can have. */
function normalisedValues(preprocessing: Preprocessing, channel: number): Float32Array {
  const mean = preprocessing.mean[channel] as number;
  const std = preprocessing.std[channel] as number;
  return Float32Array.from({ length: 256 }, (_, value) => (value * preprocessing.rescaleFactor - mean) / std);
}

/**
 * One tile of a decoded picture as the encoder takes it: float32 [3, height, width], R, G, B planes.
 * Gives the event loop back every few milliseconds, and looks at the signal then.
 * @throws TesseraError CANCELLED or DEADLINE_EXCEEDED by the signal
 */
export async function preprocessImageTile(
  raster: ImageRaster,
  tile: PlannedTile,
  preprocessing: Preprocessing,
  signal?: AbortSignal,
): Promise<Float32Tensor> {
  const { size, resample: filter, background } = preprocessing;
  const pixels = await resample(raster, placeView(raster, tile, preprocessing), filter, background, signal);
  const plane = size.height * size.width;
  const data = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const values = normalisedValues(preprocessing, channel);
    for (let i = 0; i < plane; i++) {
      data[channel * plane + i] = values[pixels[i * 3 + channel] as number] as number;
    }
  }
  return tensor('float32', [3, size.height, size.width], data);
}
