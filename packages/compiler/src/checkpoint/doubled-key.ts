/** The index of the quotation mark that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

/**
 * A key that an object in the text has twice, if there is one. JSON.parse keeps the last of them and says nothing.
 * @param text valid JSON
 */
export function doubledKey(text: string): string | undefined {
  const objects: Set<string>[] = [];
  let string = '';
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (sign === '"') {
      const end = endOfString(text, at);
      string = text.slice(at, end + 1);
      at = end;
    } else if (sign === '{') objects.push(new Set());
    else if (sign === '}') objects.pop();
    else if (sign === ':') {
      const key = JSON.parse(string) as string;
      const keys = objects.at(-1) as Set<string>;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}
