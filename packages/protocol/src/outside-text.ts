const encoder = new TextEncoder();

/** The most bytes of outside text that a sentence quotes. */
const quotedBytes = 80;

/**
 * Text from outside in a form that may stand anywhere a line of text may: in a status message, a header, a log line, a
 * label. It has no half of a surrogate pair (encodeURI throws at one), no control character (a header must hold none, and
 * in a log one could begin a false line), and at most `maxBytes` bytes of UTF-8; what is longer is cut between two
 * characters and ends in `…`.
 */
export function outsideText(text: string, maxBytes: number): string {
  // A character has at most three bytes for each UTF-16 unit, so what is cut here first would not fit either.
  const near = text.length > maxBytes ? text.slice(0, maxBytes + 1) : text;
  const clean = near.replaceAll(/\p{Cc}/gu, ' ').replaceAll(/\p{Cs}/gu, '\ufffd');
  if (near === text && encoder.encode(clean).byteLength <= maxBytes) return clean;
  const { read } = encoder.encodeInto(clean, new Uint8Array(Math.max(0, maxBytes - 3)));
  return `${clean.slice(0, read)}…`;
}

/** Outside text between quotes, short enough for a sentence. */
export function quoted(text: string, maxBytes = quotedBytes): string {
  return JSON.stringify(outsideText(text, maxBytes));
}
