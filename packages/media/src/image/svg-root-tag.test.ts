import { expect, test } from 'vitest';
import { svgRootTag } from './svg-root-tag.js';

const root = '<svg width="8" height="8">';

test.each([
  ['nothing', ''],
  ['blanks of every kind', ' \t\r\n'],
  ['the mark of UTF-8', '\xef\xbb\xbf'],
  ['a declaration', '<?xml version="1.0"?>'],
  ['a declaration that has another sign within', '<?xml version=">"?>'],
  ['two comments', '<!-- <svg> --> \n<!---->'],
  ['a document type', '<!doctype svg>'],
  ['a document type with an inner part', '<!DOCTYPE svg [<!ENTITY a ">"> ] >'],
  ['a document type behind a comment that shows its end', '<!-- [ ] > --><!DOCTYPE svg [<!ENTITY a "b">]>'],
  ['all of them', '\xef\xbb\xbf <?xml version="1.0"?>\n<!-- - -->\n<!DOCTYPE svg []>\n'],
])('the root tag stands behind %s', (_, before) => {
  const bytes = Buffer.from(`${before}${root}<svg/></svg>`, 'latin1');
  expect(svgRootTag(bytes)).toEqual({ text: root, start: before.length, end: before.length + root.length });
});

test.each([
  ['of another name', '<svgs>'],
  ['of another case', '<SVG>'],
  ['that does not end', '<svg width="8"'],
  ['that ends within a value alone', '<svg width="8>'],
  ['behind text', `a${root}`],
  ['behind another', `<html>${root}`],
  ['behind a comment that does not end', ` <!-- ${root}`],
  ['behind blanks and a comment that does not end', `   <!-- ${root}`],
  ['behind blanks and a declaration that does not end', `  <?xml ${root.slice(0, -1)}`],
  ['behind a comment that ends in its own beginning', `<!-->${root}`],
  ['behind a document type that does not end', '  <!DOCTYPE svg'],
  ['behind a document type whose inner part does not end', `<!DOCTYPE svg [ ${root}`],
  ['behind no more than a mark', '\xef\xbb\xbf'],
  ['of nothing', ''],
])('a tag %s is none', (_, text) => {
  expect(svgRootTag(Buffer.from(text, 'latin1'))).toBeUndefined();
});

test.each(['<svg>', '<svg/>', '<svg\n>', '<s:svg>', '<my-own.name:svg a=">" b=\'>"\' >'])('%s is a root tag', (tag) => {
  expect(svgRootTag(Buffer.from(`${tag}<g/>`))).toEqual({ text: tag, start: 0, end: tag.length });
});

test('the root tag ends within the first 16 KiB', () => {
  const before = ' '.repeat(16 * 1024 - root.length);
  expect(svgRootTag(Buffer.from(before + root))).toMatchObject({ start: before.length });
  expect(svgRootTag(Buffer.from(` ${before}${root}`))).toBeUndefined();
});
