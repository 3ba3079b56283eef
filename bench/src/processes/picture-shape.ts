/** A picture as a 7B vision model has it: five tiles of 576 visual tokens, each as wide as the LLM. */
export const tilesPerPicture = 5;
export const tileShape = [576, 4096] as const;
const bytesPerToken = 2;
export const tileBytes = tileShape[0] * tileShape[1] * bytesPerToken;
export const pictureBytes = tilesPerPicture * tileBytes;
/** The same bytes in messages of this size, where something other than tensors is sent. */
export const chunkBytes = 512 * 1024;
export const chunksPerPicture = pictureBytes / chunkBytes;

/** Names every value by its place, so that what arrives can be checked; all are exact in float16. */
export function tileValue(tile: number, index: number): number {
  return (index * 7 + tile) % 2048;
}

/** The path of the gRPC method that streams chunks. */
export const chunksPath = '/bench.Chunks/Stream';
