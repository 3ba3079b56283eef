import { expect, test } from 'vitest';
import { mediaName, sourceName } from './load-media.js';

test.each([
  [{ file: 'pictures/apple.png' }, 'apple.png'],
  [{ file: 'C:\\pictures\\apple.png' }, 'apple.png'],
  [{ url: 'https://example.org/pictures/apple.png?size=1/2#top' }, 'apple.png'],
  [{ url: new URL('https://example.org/') }, undefined],
  [{ url: 'data:image/png;base64,AQ/ID' }, undefined],
  [{ bytes: Buffer.alloc(1) }, undefined],
])('%o is called %s', (source, name) => {
  expect(sourceName(source)).toBe(name);
});

test('a name is of a length that the contract takes', () => {
  expect(mediaName({ url: `https://example.org/${'k'.repeat(400)}` }, 'upload')).toHaveLength(254);
  expect(mediaName({ bytes: Buffer.alloc(1) }, 'upload')).toBe('upload');
});
