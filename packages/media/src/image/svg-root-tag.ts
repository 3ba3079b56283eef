import { startsWith } from './starts-with.js';

/** How far into a file the root element may begin: room for an XML declaration, comments and a document type. */
const prologueBytes = 16 * 1024;

/** XML may be UTF-16 of either order, with a mark or a declaration that begins it. */
const wideStarts = [
  { starts: '\xff\xfe', encoding: 'utf-16le' },
  { starts: '<\0', encoding: 'utf-16le' },
  { starts: '\xfe\xff', encoding: 'utf-16be' },
  { starts: '\0<', encoding: 'utf-16be' },
] as const;

/** The byte order mark of UTF-8. */
const utf8Mark = '\xef\xbb\xbf';

// What may stand before the root element, each with its own end.
const beforeRoot = [
  { opens: '<?', closes: '?>' },
  { opens: '<!--', closes: '-->' },
];

function endOfDoctype(text: string, start: number): number {
  const subset = text.indexOf('[', start);
  const plain = text.indexOf('>', start);
  if (subset === -1 || (plain !== -1 && plain < subset)) return plain === -1 ? -1 : plain + 1;
  const close = /\]\s*>/g;
  close.lastIndex = subset;
  return close.exec(text) === null ? -1 : close.lastIndex;
}

/** How much of a file says whether it is SVG, and how large. */
export function svgHead(bytes: Uint8Array): Uint8Array {
  return narrowXml(bytes.subarray(0, 2 * prologueBytes));
}

export interface SvgRootTag {
  /** The tag's text, a character a byte. */
  readonly text: string;
  /** Its first byte, and the first behind it. */
  readonly start: number;
  readonly end: number;
}

/**
 * The same document in bytes that hold ASCII as it is: UTF-16 becomes UTF-8, and says so no more. What else it may be
 * encoded in, its declaration tells.
 */
export function narrowXml(bytes: Uint8Array): Uint8Array {
  const wide = wideStarts.find(({ starts }) => startsWith(bytes, 0, starts));
  if (wide === undefined) return bytes;
  const text = new TextDecoder(wide.encoding).decode(bytes);
  return Buffer.from(text.replace(/^<\?xml.*?\?>/s, ''));
}

/**
 * The `<svg ...>` tag that a document begins with, after any prologue; undefined when it is no SVG, or UTF-16.
 * Only the root counts, so a web page with a drawing in it is not a picture.
 */
export function svgRootTag(bytes: Uint8Array): SvgRootTag | undefined {
  // A character a byte, so that places in the text are places in the file.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, prologueBytes)).toString('latin1');
  let at = text.startsWith(utf8Mark) ? utf8Mark.length : 0;
  for (;;) {
    while (at < text.length && /\s/.test(text[at] as string)) at++;
    const skipped = beforeRoot.find(({ opens }) => text.startsWith(opens, at));
    if (skipped !== undefined) {
      const end = text.indexOf(skipped.closes, at + skipped.opens.length);
      if (end === -1) return undefined;
      at = end + skipped.closes.length;
    } else if (text.slice(at, at + 9).toUpperCase() === '<!DOCTYPE') {
      at = endOfDoctype(text, at);
      if (at === -1) return undefined;
    } else {
      const tag = /^<(?:[\w.-]+:)?svg(?=[\s/>])(?:[^>"']|"[^"]*"|'[^']*')*>/.exec(text.slice(at))?.[0];
      return tag === undefined ? undefined : { text: tag, start: at, end: at + tag.length };
    }
  }
}
