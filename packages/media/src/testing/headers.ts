/** Files of header fields alone; nothing here is used outside tests. */

/** Types of a TIFF's field (TIFF 6.0; BigTIFF). */
export const [byte, ascii, short, long, long8] = [1, 2, 3, 4, 16] as const;
const bytesOf = { [byte]: 1, [ascii]: 1, [short]: 2, [long]: 4, [long8]: 8 } as const;
export type Field = readonly [tag: number, type: keyof typeof bytesOf, ...values: number[]];

/** A TIFF of fields only, in either byte order and layout; what does not fit an entry lies behind the directory. */
export function tiffOf(order: 'little' | 'big', isBigTiff: boolean, fields: readonly Field[]): Buffer {
  const [entryBytes, inlineBytes, directory] = isBigTiff ? [20, 8, 16] : [12, 4, 8];
  const first = directory + (isBigTiff ? 8 : 2);
  let spare = first + fields.length * entryBytes + (isBigTiff ? 8 : 4);
  const file = Buffer.alloc(spare + 256);
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const little = order === 'little';
  const put = {
    [byte]: view.setUint8.bind(view),
    [ascii]: view.setUint8.bind(view),
    [short]: view.setUint16.bind(view),
    [long]: view.setUint32.bind(view),
    [long8]: (at: number, value: number) => view.setBigUint64(at, BigInt(value), little),
  } as const;
  const putSize = (at: number, value: number) =>
    isBigTiff ? view.setBigUint64(at, BigInt(value), little) : view.setUint32(at, value, little);
  file.write(little ? 'II' : 'MM', 0, 'latin1');
  view.setUint16(2, isBigTiff ? 43 : 42, little);
  if (isBigTiff) view.setUint16(4, 8, little);
  putSize(isBigTiff ? 8 : 4, directory);
  if (isBigTiff) putSize(directory, fields.length);
  else view.setUint16(directory, fields.length, little);
  fields.forEach(([tag, type, ...values], i) => {
    const entry = first + i * entryBytes;
    view.setUint16(entry, tag, little);
    view.setUint16(entry + 2, type, little);
    putSize(entry + 4, values.length);
    const inline = entry + (isBigTiff ? 12 : 8);
    const fits = values.length * bytesOf[type] <= inlineBytes;
    const from = fits ? inline : spare;
    if (!fits) {
      putSize(inline, spare);
      spare += values.length * bytesOf[type];
    }
    values.forEach((value, at) => {
      put[type](from + at * bytesOf[type], value, little);
    });
  });
  return file;
}

/** A segment of a JPEG, its length in front of its data. */
export const segment = (marker: number, ...data: number[]) => [0xff, marker, 0, 2 + data.length, ...data];

/** A frame header of one component. */
export const frameOf = (marker: number, bits: number, [height, width]: readonly [number, number]) =>
  segment(marker, bits, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0);

export const jpegOf = (...segments: number[][]) =>
  Uint8Array.from([0xff, 0xd8, ...segments.flat(), 0xff, 0xd9, 0, 0, 0, 0, 0]);
