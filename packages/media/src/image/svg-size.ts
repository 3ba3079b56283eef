import { TesseraError } from '@tessera/protocol';
import { svgRootTag } from './svg-root-tag.js';

/** A drawing has no pixels of its own. Its longer side is drawn at what it says, but never under or over these. */
const minLongSide = 512;
const maxLongSide = 2048;

/** librsvg's sizes are 32-bit integers and it wraps beyond them, so absurd ones are refused before it sees them. */
const maxDeclaredSide = 1_000_000;

/** CSS pixels in each absolute unit. Percentages, em and ex are relative to nothing here, and left to librsvg. */
const pixelsPerUnit: Readonly<Record<string, number>> = {
  '': 1,
  px: 1,
  pt: 4 / 3,
  pc: 16,
  mm: 96 / 25.4,
  cm: 96 / 2.54,
  in: 96,
};

function attribute(tag: string, name: string): string | undefined {
  const match = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`).exec(tag);
  return match?.[1] ?? match?.[2];
}

function pixels(length: string | undefined): number | undefined {
  const match = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)\s*$/i.exec(length ?? '');
  const factor = pixelsPerUnit[match?.[2]?.toLowerCase() ?? 'none'];
  return match === null || factor === undefined ? undefined : Number(match[1]) * factor;
}

/**
 * Refuses sizes that the root tag declares and no renderer should be asked for.
 * @throws TesseraError MEDIA_EMPTY for nothing to see, MEDIA_TOO_LARGE for a side over a million units
 */
export function checkDeclaredSvgSize(bytes: Uint8Array): void {
  const tag = svgRootTag(bytes) ?? '';
  const viewBox = (attribute(tag, 'viewBox') ?? '').trim().split(/[\s,]+/);
  const sides = [
    pixels(attribute(tag, 'width')),
    pixels(attribute(tag, 'height')),
    pixels(viewBox[2]),
    pixels(viewBox[3]),
  ].filter((side) => side !== undefined);
  if (sides.includes(0)) throw new TesseraError('MEDIA_EMPTY', 'the SVG declares a width or height of 0');
  const longest = Math.max(0, ...sides);
  if (longest > maxDeclaredSide) {
    throw new TesseraError(
      'MEDIA_TOO_LARGE',
      `the SVG declares a side of ${longest} pixels; the limit is ${maxDeclaredSide}`,
    );
  }
}

/**
 * The size to draw at, from the size that librsvg gives: the same shape, the longer side within 512 to 2048 pixels.
 * It depends on the drawing alone, so that whoever plans tiles and whoever draws them agree without a word.
 */
export function svgDrawingSize(
  width: number,
  height: number,
): { readonly width: number; readonly height: number; readonly scale: number } {
  const longest = Math.max(width, height);
  const scale = Math.min(Math.max(longest, minLongSide), maxLongSide) / longest;
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)), scale };
}
