/** What a JPEG's frame header says. */
export interface JpegFrame {
  /** The marker's second byte: the coding process. */
  readonly process: number;
  readonly bits: number;
  readonly width: number;
  readonly height: number;
}

/** SOF0 to SOF15 without DHT, JPG and DAC, and that of JPEG-LS. */
function isFrameMarker(marker: number): boolean {
  return (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) || marker === 0xf7;
}

/** Walks the marker segments to the frame header. @throws RangeError when the bytes end before */
export function jpegFrame(bytes: Uint8Array): JpegFrame | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 2;
  while (bytes[at] === 0xff) {
    const process = bytes[at + 1] as number;
    if (isFrameMarker(process)) {
      return { process, bits: view.getUint8(at + 4), width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
    // Any number of fill bytes may stand before a marker.
    at += process === 0xff ? 1 : 2 + Math.max(2, view.getUint16(at + 2));
  }
  return undefined;
}
