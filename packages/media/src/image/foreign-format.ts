import { startsWith } from './starts-with.js';

/** Formats that people send and this package does not take, each by what its files begin with. */
const magics: readonly (readonly [name: string, offset: number, magic: string])[] = [
  ['an ICO icon', 0, '\0\0\x01\0'],
  ['a CUR pointer', 0, '\0\0\x02\0'],
  ['a JPEG XL picture', 0, '\xff\x0a'],
  ['a JPEG XL picture', 0, '\0\0\0\x0cJXL \r\n\x87\n'],
  ['a JPEG 2000 picture', 0, '\0\0\0\x0cjP  \r\n\x87\n'],
  ['a JPEG 2000 picture', 0, '\xff\x4f\xff\x51'],
  ['a JPEG XR picture', 0, 'II\xbc\x01'],
  ['a PDF document', 0, '%PDF-'],
  ['a PostScript document', 0, '%!PS'],
  ['a Photoshop document', 0, '8BPS'],
  ['an OpenEXR picture', 0, 'v/1\x01'],
  ['a Radiance picture', 0, '#?RADIANCE'],
  ['a QOI picture', 0, 'qoif'],
  ['a DDS texture', 0, 'DDS '],
  ['a FITS picture', 0, 'SIMPLE  ='],
  ['a DjVu document', 0, 'AT&TFORM'],
  ['a WMF drawing', 0, '\xd7\xcd\xc6\x9a'],
  ['gzip data (an SVGZ drawing, perhaps)', 0, '\x1f\x8b'],
  ['a ZIP archive', 0, 'PK\x03\x04'],
  ['a Matroska or WebM film', 0, '\x1a\x45\xdf\xa3'],
  ['an AVI film', 8, 'AVI '],
];

/** ISO media files tell by their major brand. */
const brands: readonly (readonly [name: string, brand: RegExp])[] = [
  ['a HEIC picture', /^(?:hei[cxms]|hev[cxms])$/],
  ['a HEIF picture', /^(?:mif1|msf1|mif2|miaf)$/],
  ['a JPEG 2000 picture', /^(?:jp2 |jpx |jpm |mjp2)$/],
  ['a Canon raw picture', /^crx $/],
  ['a film', /^/],
];

/** Names what the bytes are, when they are of a known format that is not taken. */
export function foreignFormat(bytes: Uint8Array): string | undefined {
  const known = magics.find(([, offset, magic]) => startsWith(bytes, offset, magic));
  if (known !== undefined) return known[0];
  // Two letters alone would take many a text for a picture: four reserved bytes follow the size of the file.
  if (startsWith(bytes, 0, 'BM') && startsWith(bytes, 6, '\0\0\0\0')) return 'a BMP picture';
  if (!startsWith(bytes, 4, 'ftyp')) return undefined;
  const brand = Buffer.from(bytes.subarray(8, 12)).toString('latin1');
  return brands.find(([, pattern]) => pattern.test(brand))?.[0];
}
