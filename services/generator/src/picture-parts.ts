import { encodePng } from '@tessera/media';
import type { Float32Tensor, PicturePart } from '@tessera/protocol';

/** A picture as a PNG file, in parts of at most `partBytes`; the last one is marked. */
export async function pictureParts(image: Float32Tensor, partBytes: number): Promise<PicturePart[]> {
  const file = await encodePng(image);
  return Array.from({ length: Math.ceil(file.length / partBytes) }, (_, part) => {
    const end = (part + 1) * partBytes;
    return {
      data: file.subarray(part * partBytes, end),
      last: end >= file.length,
      mimeType: 'image/png',
    };
  });
}
