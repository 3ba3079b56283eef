import { TesseraError } from '@tessera/protocol';
import type { SvgRootTag } from './svg-root-tag.js';

/** A drawing has no pixels of its own. Its longer side is drawn at what it says, but never under or over these. */
const minLongSide = 512;
const maxLongSide = 2048;

/** What CSS gives a drawing that says nothing. */
const defaultSize = { width: 300, height: 150 };

/** librsvg takes lengths under 1/512 of a unit for none: a plane much smaller would be drawn empty. */
const minPlaneSide = 1 / 128;

/** CSS pixels in each absolute unit. Percentages, em and ex are relative to nothing here: as good as absent. */
const pixelsPerUnit: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['px', 1],
  ['pt', 4 / 3],
  ['pc', 16],
  ['mm', 96 / 25.4],
  ['cm', 96 / 2.54],
  ['in', 96],
]);

export interface SvgSize {
  /** Pixels to draw at. */
  readonly width: number;
  readonly height: number;
  /** The part of the drawing's plane that they show. */
  readonly viewBox: string;
}

function attribute(tag: SvgRootTag, name: string): string | undefined {
  const match = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`).exec(tag.text);
  return match?.[1] ?? match?.[2];
}

/** A length in CSS pixels; undefined where it is absent, relative, negative or no length at all. */
function pixels(length: string | undefined): number | undefined {
  const match = /^\s*\+?((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)\s*$/i.exec(length ?? '');
  const factor = pixelsPerUnit.get(match?.[2]?.toLowerCase() ?? 'none');
  return match === null || factor === undefined ? undefined : Number(match[1]) * factor;
}

/** The size that the root tag gives the drawing, by the rules of CSS: what is missing follows from the viewBox. */
function naturalSize(tag: SvgRootTag): { width: number; height: number; viewBox?: string } {
  const viewBox = attribute(tag, 'viewBox')?.trim();
  const [, , boxWidth, boxHeight] = viewBox?.split(/[\s,]+/).map(pixels) ?? [];
  const width = pixels(attribute(tag, 'width'));
  const height = pixels(attribute(tag, 'height'));
  if (boxWidth === undefined || boxHeight === undefined) {
    return { width: width ?? defaultSize.width, height: height ?? defaultSize.height };
  }
  if (boxWidth === 0 || boxHeight === 0) return { width: boxWidth, height: boxHeight };
  const aspect = boxWidth / boxHeight;
  return {
    width: width ?? (height === undefined ? boxWidth : height * aspect),
    height: height ?? (width === undefined ? boxHeight : width / aspect),
    viewBox,
  };
}

/**
 * The size to draw an SVG at, from its root tag alone: its own shape, the longer side within 512 to 2048 pixels, however
 * large or small it says it is. Whoever plans tiles and whoever draws them so agree without a word.
 * @throws TesseraError MEDIA_EMPTY when a side is 0; MEDIA_TOO_LARGE when a side is no finite number; MEDIA_UNSUPPORTED
 *   when the plane is too small to draw on
 */
export function svgSize(tag: SvgRootTag): SvgSize {
  const natural = naturalSize(tag);
  const longest = Math.max(natural.width, natural.height);
  if (natural.width === 0 || natural.height === 0) {
    throw new TesseraError('MEDIA_EMPTY', 'the SVG declares a width or height of 0');
  }
  if (!Number.isFinite(longest)) throw new TesseraError('MEDIA_TOO_LARGE', 'the SVG declares a side without end');
  const viewBox = natural.viewBox ?? `0 0 ${natural.width} ${natural.height}`;
  const [, , planeWidth = 0, planeHeight = 0] = viewBox.split(/[\s,]+/).map(Number);
  if (Math.max(planeWidth, planeHeight) < minPlaneSide) {
    throw new TesseraError(
      'MEDIA_UNSUPPORTED',
      `the SVG picture is of a kind that is not supported: its plane has ${planeWidth}x${planeHeight} units, and what is smaller than ${minPlaneSide} is not drawn`,
    );
  }
  const long = Math.min(Math.max(longest, minLongSide), maxLongSide);
  // The quotient first: the scale of a very small drawing is no finite number.
  return {
    width: Math.max(1, Math.round((natural.width / longest) * long)),
    height: Math.max(1, Math.round((natural.height / longest) * long)),
    viewBox,
  };
}

/** libvips takes for SVG only what shows these letters early; a root tag with a prefix or a long prologue does not. */
const sniffMark = '<!--<svg-->';

/** Where a comment may stand first: behind the XML declaration, which nothing may stand before. */
function afterDeclaration(bytes: Uint8Array, tag: SvgRootTag): number {
  const prologue = Buffer.from(bytes.subarray(0, tag.start)).toString('latin1');
  return /^(?:\xef\xbb\xbf)?(?:<\?xml.*?\?>)?/s.exec(prologue)?.[0].length ?? 0;
}

/**
 * The same drawing with the size in its root tag. Scaling is then librsvg's own, exact to the pixel; its resolution
 * setting would scale physical units twice and drawings without a viewBox not at all.
 */
export function withSvgSize(bytes: Uint8Array, tag: SvgRootTag, { width, height, viewBox }: SvgSize): Uint8Array {
  const style = (attribute(tag, 'style') ?? '').replaceAll('"', "'");
  const bare = tag.text.replace(/\s(?:width|height|viewBox|style)\s*=\s*(?:"[^"]*"|'[^']*')/g, '');
  // Style sheets outrank attributes, and nothing outranks an important declaration in the element's own style.
  const size = `width: ${width}px !important; height: ${height}px !important`;
  const attributes = `width="${width}" height="${height}" viewBox="${viewBox}" style="${style};${size}"`;
  const sized = bare.replace(/^<(?:[\w.-]+:)?svg/, (name) => `${name} ${attributes}`);
  const mark = afterDeclaration(bytes, tag);
  return Buffer.concat([
    bytes.subarray(0, mark),
    Buffer.from(sniffMark),
    bytes.subarray(mark, tag.start),
    Buffer.from(sized, 'latin1'),
    bytes.subarray(tag.end),
  ]);
}
