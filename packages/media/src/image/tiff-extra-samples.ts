import { TiffReader, tiffExtraChannels, tiffHeader } from './tiff-header.js';
import { unlessCut } from './unless-cut.js';

const extraSamplesTag = 338;
const short = 3;
const unassociatedAlpha = 2;

/**
 * The same TIFF with a word on each channel beyond the colours: libtiff warns where there is none, which counts as damage.
 * One such channel is transparency, as every reader has it; of more than one nothing is known. The very same bytes where
 * the file says it, or has no such channel.
 */
export function withExtraSamples(tiff: Uint8Array): Uint8Array {
  return unlessCut(() => completed(tiff)) ?? tiff;
}

/** A new first directory, behind all else, takes the old one's place; what entries point to stays where it is. */
function completed(tiff: Uint8Array): Uint8Array | undefined {
  const header = tiffHeader(tiff);
  const extras = tiffExtraChannels(header);
  const reader = new TiffReader(tiff);
  const { little, isBig, directory, entries, inlineAt } = reader;
  if (header.extraSamples.length > 0 || extras < 1 || inlineAt + extras * 2 > entries.bytes) return undefined;

  const sizeBytes = isBig ? 8 : 4;
  const putSize = (to: DataView, at: number, value: number) =>
    isBig ? to.setBigUint64(at, BigInt(value), little) : to.setUint32(at, value, little);
  // Entries are in the order of their tags.
  let before = 0;
  while (before < entries.count && reader.short(entries.start + before * entries.bytes) < extraSamplesTag) before++;
  const insertAt = entries.start + before * entries.bytes;
  const end = entries.start + entries.count * entries.bytes + sizeBytes;
  // Directories begin at even places.
  const start = tiff.length + (tiff.length % 2);

  const file = Buffer.alloc(start + (end - directory) + entries.bytes);
  file.set(tiff);
  file.set(tiff.subarray(directory, insertAt), start);
  const entry = start + insertAt - directory;
  file.set(tiff.subarray(insertAt, end), entry + entries.bytes);
  const out = new DataView(file.buffer, file.byteOffset, file.length);
  putSize(out, isBig ? 8 : 4, start);
  if (isBig) putSize(out, start, entries.count + 1);
  else out.setUint16(start, entries.count + 1, little);
  out.setUint16(entry, extraSamplesTag, little);
  out.setUint16(entry + 2, short, little);
  putSize(out, entry + 4, extras);
  if (extras === 1) out.setUint16(entry + inlineAt, unassociatedAlpha, little);
  return file;
}
