import { type Float32Tensor, TesseraError } from '@tessera/protocol';
import { native } from './native.js';

/**
 * A generated picture as PNG: 8-bit RGB.
 * @param picture float32 [3, height, width] in [-1, 1]; values beyond are clamped, as samplers overshoot a little
 * @throws TesseraError TENSOR_INVALID when the shape is another or a value is not a number
 */
export async function encodePng(picture: Float32Tensor): Promise<Uint8Array> {
  const [channels, height = 0, width = 0] = picture.shape;
  if (picture.shape.length !== 3 || channels !== 3 || height === 0 || width === 0) {
    throw new TesseraError('TENSOR_INVALID', `a picture is [3, height, width], not [${picture.shape.join(', ')}]`);
  }
  const plane = height * width;
  const pixels = new Uint8Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < plane; i++) {
      const value = picture.data[channel * plane + i] as number;
      if (Number.isNaN(value)) {
        throw new TesseraError('TENSOR_INVALID', `the picture's value ${channel * plane + i} is not a number`);
      }
      pixels[i * 3 + channel] = Math.round(Math.min(255, Math.max(0, value * 127.5 + 127.5)));
    }
  }
  return await native(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
