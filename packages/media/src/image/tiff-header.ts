/** What the first directory of a TIFF says of its pixels (TIFF 6.0; BigTIFF). */
export interface TiffHeader {
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Bits of each sample; one number where the file gives them all the same. */
  readonly bits: readonly number[];
  readonly compression: number;
  readonly photometric: number | undefined;
  /** 1 to 8, as EXIF has it. */
  readonly orientation: number | undefined;
  readonly samples: number;
  readonly inPlanes: boolean;
  readonly isTiled: boolean;
  /** What the samples beyond the colours are: 0 unspecified, 1 alpha that is multiplied in, 2 alpha. */
  readonly extraSamples: readonly number[];
  /** 1 unsigned, 2 signed, 3 floating point, 4 undefined, 5 and 6 complex. */
  readonly sampleFormats: readonly number[];
}

const tags = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  orientation: 274,
  samples: 277,
  planes: 284,
  tileWidth: 322,
  extraSamples: 338,
  sampleFormat: 339,
};

/** Values of one field that are looked at; only damaged files have more. */
const maxValues = 64;

/** Reads numbers of either byte order, in the layout of classic TIFF or of BigTIFF. */
export class TiffReader {
  private readonly view: DataView;
  readonly little: boolean;
  readonly isBig: boolean;
  /** Where the first directory begins: with its count, behind which its entries lie. */
  readonly directory: number;
  readonly entries: { readonly count: number; readonly start: number; readonly bytes: number };
  /** Where in an entry its values lie, if they fit there. */
  readonly inlineAt: number;

  /** @throws RangeError when the directory does not begin within the bytes */
  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.little = bytes[0] === 0x49;
    this.isBig = this.short(2) === 43;
    const directory = this.size(this.isBig ? 8 : 4);
    this.directory = directory;
    this.entries = this.isBig
      ? { count: this.size(directory), start: directory + 8, bytes: 20 }
      : { count: this.short(directory), start: directory + 2, bytes: 12 };
    this.inlineAt = this.isBig ? 12 : 8;
  }

  short(at: number): number {
    return this.view.getUint16(at, this.little);
  }

  long(at: number): number {
    return this.view.getUint32(at, this.little);
  }

  /** A place in the file, or a count. */
  size(at: number): number {
    return this.isBig ? Number(this.view.getBigUint64(at, this.little)) : this.long(at);
  }

  /** The values of a field: within its entry where they fit there, else where the entry points. */
  values(entry: number): number[] {
    const type = this.short(entry + 2);
    const bytesOf: Readonly<Record<number, number>> = { 1: 1, 3: 2, 4: 4, 16: 8 };
    const width = bytesOf[type];
    if (width === undefined) return [];
    const count = Math.min(this.size(entry + 4), maxValues);
    const inline = entry + this.inlineAt;
    const from = this.inlineAt + count * width <= this.entries.bytes ? inline : this.size(inline);
    return Array.from({ length: count }, (_, i) => {
      const at = from + i * width;
      if (width === 1) return this.view.getUint8(at);
      if (width === 2) return this.short(at);
      return width === 4 ? this.long(at) : Number(this.view.getBigUint64(at, this.little));
    });
  }
}

/** @throws RangeError when the directory does not lie within the bytes */
export function tiffHeader(bytes: Uint8Array): TiffHeader {
  const reader = new TiffReader(bytes);
  const { entries } = reader;
  const fields = new Map<number, number[]>();
  const known = new Set(Object.values(tags));
  for (let i = 0; i < entries.count; i++) {
    const entry = entries.start + i * entries.bytes;
    const tag = reader.short(entry);
    if (known.has(tag)) fields.set(tag, reader.values(entry));
  }
  const one = (tag: number) => fields.get(tag)?.[0];
  return {
    width: one(tags.width),
    height: one(tags.height),
    bits: fields.get(tags.bits) ?? [1],
    compression: one(tags.compression) ?? 1,
    photometric: one(tags.photometric),
    orientation: one(tags.orientation),
    samples: one(tags.samples) ?? 1,
    inPlanes: one(tags.planes) === 2,
    isTiled: fields.has(tags.tileWidth),
    extraSamples: fields.get(tags.extraSamples) ?? [],
    sampleFormats: fields.get(tags.sampleFormat) ?? [1],
  };
}

/** Colours of one pixel, by photometric interpretation: grey (0, 1), RGB, palette, CMYK, YCbCr, CIELab. */
const colourSamples: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3 };

/** How many samples of a pixel are its colours; undefined where it is a matter of a kind that is not decoded. */
export function tiffColourSamples({ photometric = -1 }: TiffHeader): number | undefined {
  return colourSamples[photometric];
}

/** How many samples of a pixel are beyond its colours; 0 where it is not known which those are. */
export function tiffExtraChannels(header: TiffHeader): number {
  return header.samples - (tiffColourSamples(header) ?? header.samples);
}
