interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface GifScreen {
  /** The canvas that all frames are laid on. Some writers leave it 0; then the frames make it. */
  readonly width: number;
  readonly height: number;
  /** Where the first frame lies on it. */
  readonly firstFrame: Rectangle;
}

const extension = 0x21;
const imageDescriptor = 0x2c;

/** Bytes of a palette whose presence and size this packed field says. */
function paletteBytes(packed: number): number {
  return (packed & 0x80) === 0 ? 0 : 3 << ((packed & 7) + 1);
}

/** The canvas of a GIF and the place of its first frame. @throws RangeError when the bytes end before that frame */
export function gifScreen(bytes: Uint8Array): GifScreen | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const short = (at: number) => view.getUint16(at, true);
  let at = 13 + paletteBytes(view.getUint8(10));
  while (view.getUint8(at) === extension) {
    at += 2;
    for (let length = view.getUint8(at); length > 0; length = view.getUint8(at)) at += 1 + length;
    at++;
  }
  if (view.getUint8(at) !== imageDescriptor) return undefined;
  return {
    width: short(6),
    height: short(8),
    firstFrame: { left: short(at + 1), top: short(at + 3), width: short(at + 5), height: short(at + 7) },
  };
}
