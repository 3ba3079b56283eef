/** How far into a file the root element may begin: room for an XML declaration, comments and a document type. */
const prologueBytes = 16 * 1024;

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

/**
 * The `<svg ...>` tag that a file begins with, after any prologue; undefined when the file is not SVG.
 * Only the root counts, so a web page with a drawing in it is not a picture.
 */
export function svgRootTag(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(bytes.subarray(0, prologueBytes));
  let at = 0;
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
      return /^<(?:[\w.-]+:)?svg(?=[\s/>])(?:[^>"']|"[^"]*"|'[^']*')*>/.exec(text.slice(at))?.[0];
    }
  }
}
