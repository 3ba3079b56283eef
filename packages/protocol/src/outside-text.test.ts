import { expect, test } from 'vitest';
import { outsideText, quoted } from './outside-text.js';

const emoji = '🙂';
const bytes = (text: string) => new TextEncoder().encode(text).byteLength;

test('plain text stays as it is, up to the very last byte', () => {
  expect(outsideText('Größe 3 🙂', 100)).toBe('Größe 3 🙂');
  expect(outsideText('abcdef', 6)).toBe('abcdef');
  expect(outsideText('', 6)).toBe('');
});

test('longer text is cut between characters, at every length', () => {
  for (const text of [emoji.repeat(40), `a${emoji.repeat(40)}`, 'ä€b'.repeat(40), 'x'.repeat(200)]) {
    for (let most = 3; most < 100; most++) {
      const cut = outsideText(text, most);
      expect(bytes(cut)).toBeLessThanOrEqual(most);
      expect(cut.endsWith('…')).toBe(true);
      expect(text.startsWith(cut.slice(0, -1))).toBe(true);
      expect(() => encodeURI(cut)).not.toThrow();
      // No character more would have fitted.
      expect(bytes(cut)).toBeGreaterThan(most - 4);
    }
  }
});

test('half a surrogate pair is replaced, at any place', () => {
  const [high, low] = [emoji.slice(0, 1), emoji.slice(1)];
  for (const broken of [high, low, `a${high}`, `${low}a`, `${low}${high}`, `${high}${high}${low}`]) {
    expect(() => encodeURI(outsideText(broken, 100))).not.toThrow();
    expect(outsideText(broken, 100)).toContain('\ufffd');
  }
});

test('control characters become blanks', () => {
  expect(outsideText('a\r\nb\tc\u0000d\u007fe\u0085f', 100)).toBe('a  b c d e f');
});

test('quotes are short and closed', () => {
  expect(quoted('gpt')).toBe('"gpt"');
  expect(quoted(emoji.repeat(500))).toBe(`"${emoji.repeat(19)}…"`);
  expect(quoted('a"b')).toBe('"a\\"b"');
});
