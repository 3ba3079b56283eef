/** Weights of a linear layer that share a scale lie in one row and this many columns. */
export const blockSize = 32;
/** What stands for zero in the unsigned form. */
const zeroPoint = 128;
const largest = 127;

function scaleOf(source: Float32Array, from: number, to: number): number {
  let peak = 0;
  for (let i = from; i < to; i++) peak = Math.max(peak, Math.abs(source[i] as number));
  return peak / largest;
}

/**
 * A weight [rows, columns] as MatMulNBits takes it with 8 bits: uint8 [rows, blocks, 32] around 128, and a float32
 * scale a block. The last block of a row is filled up with zeros.
 */
export function quantizeBlocks(
  source: Float32Array,
  rows: number,
  columns: number,
): { values: Uint8Array; scales: Float32Array } {
  const blocks = Math.ceil(columns / blockSize);
  const values = new Uint8Array(rows * blocks * blockSize).fill(zeroPoint);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const begin = row * columns + block * blockSize;
      const end = Math.min(begin + blockSize, (row + 1) * columns);
      const scale = scaleOf(source, begin, end);
      const target = (row * blocks + block) * blockSize;
      scales[row * blocks + block] = scale;
      if (scale === 0) continue;
      for (let i = begin; i < end; i++)
        values[target + i - begin] = Math.round((source[i] as number) / scale) + zeroPoint;
    }
  }
  return { values, scales };
}

/** A weight [channels, ...] with one scale for each output channel: int8 of the same shape, float32 [channels]. */
export function quantizeChannels(source: Float32Array, channels: number): { values: Int8Array; scales: Float32Array } {
  const values = new Int8Array(source.length);
  const scales = new Float32Array(channels);
  const size = source.length / channels;
  for (let channel = 0; channel < channels; channel++) {
    const begin = channel * size;
    const scale = scaleOf(source, begin, begin + size);
    scales[channel] = scale;
    if (scale === 0) continue;
    for (let i = begin; i < begin + size; i++) values[i] = Math.round((source[i] as number) / scale);
  }
  return { values, scales };
}
