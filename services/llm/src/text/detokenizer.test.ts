import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { goldenTokens } from '@tessera/testing/demo-model/goldens';
import type { Tokenizer } from '@tessera/tokenizer';
import { beforeAll, expect, test } from 'vitest';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import { Detokenizer, type WrittenText } from './detokenizer.js';
import { TokenBytes } from './token-bytes.js';

let tokenizer: Tokenizer;
let bytes: TokenBytes;

beforeAll(async () => {
  tokenizer = (await loadPromptBuilder(await readBundle(await demoBundleDir()))).tokenizer;
  bytes = new TokenBytes(tokenizer);
});

/** Pushes ids until a stop text; returns what was given out at each, and at the end. */
function write(ids: readonly number[], stops: readonly string[] = []) {
  const detokenizer = new Detokenizer(bytes, stops);
  const pieces: WrittenText[] = [];
  for (const id of ids) {
    pieces.push(detokenizer.push(id));
    if (detokenizer.isStopped) break;
  }
  if (!detokenizer.isStopped) pieces.push(detokenizer.finish());
  return {
    pieces,
    text: pieces.map(({ text }) => text).join(''),
    ids: pieces.flatMap(({ tokenIds }) => tokenIds),
    stopped: detokenizer.isStopped,
  };
}

/** Any byte as the token that stands for it alone. */
const byteToken = (byte: number): number => {
  for (let id = 0; id < 2032; id++) if (bytes.of(id).length === 1 && bytes.of(id)[0] === byte) return id;
  throw new Error(`no token for byte ${byte}`);
};

test('what the tokenizer cuts comes back whole, and no piece ever cuts a character', async () => {
  const texts = [
    ...goldenTokens.map(({ text }) => text),
    '我是一个小型多模态模型，会看图，也会画图。',
    '👩‍👩‍👧‍👦 🏳️‍🌈 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ñ ﷽ \u{10fffd}',
    '\ufeffbyte order mark',
  ];
  for (const text of texts) {
    const ids = tokenizer.encode(text);
    const written = write(ids);
    expect(written.text).toBe(text);
    expect(written.ids).toEqual(ids);
    for (const piece of written.pieces) {
      expect(piece.text).not.toContain('\ufffd');
      expect(Buffer.from(piece.text, 'utf8').toString('utf8')).toBe(piece.text);
    }
  }
});

test('a character in four tokens is given out, with its ids, at the last of them', () => {
  const ids = [...new TextEncoder().encode('🍎')].map(byteToken);
  const { pieces } = write([...tokenizer.encode('a'), ...ids, ...tokenizer.encode('b')]);
  expect(pieces.map(({ text }) => text)).toEqual(['a', '', '', '', '🍎', 'b', '']);
  expect(pieces[4]?.tokenIds).toEqual(ids);
});

test('bytes that are no UTF-8 become U+FFFD as soon as that is sure; an unfinished end is left out', () => {
  const invalid = write([byteToken(0xff), byteToken(0xe4), byteToken(0x41), byteToken(0xe4), byteToken(0xbd)]);
  expect(invalid.pieces.map(({ text }) => text)).toEqual(['\ufffd', '', '\ufffdA', '', '', '']);
  expect(invalid.ids).toHaveLength(5);
});

test('whole text before a cut character comes with its token, at the end, before a stop text, and after a takeover', () => {
  /** Tokens that end within a character, which a tokenizer trained on bytes may have. */
  class CutBytes extends TokenBytes {
    override of(id: number): Uint8Array {
      // "ab" and the first byte of 你; its second byte; its third and "c".
      const pieces: Record<number, number[]> = { 1: [0x61, 0x62, 0xe4], 2: [0xbd], 3: [0xa0, 0x63] };
      return Uint8Array.from(pieces[id] ?? []);
    }

    override firstOf(id: number): Uint8Array {
      return this.of(id);
    }
  }
  const cut = new CutBytes(tokenizer);
  const end = new Detokenizer(cut);
  expect([end.push(1), end.push(2), end.finish()]).toEqual([
    { tokenIds: [], text: '' },
    { tokenIds: [], text: '' },
    { tokenIds: [1, 2], text: 'ab' },
  ]);
  const whole = new Detokenizer(cut);
  expect([1, 2, 3].map((id) => whole.push(id)).at(-1)).toEqual({ tokenIds: [1, 2, 3], text: 'ab你c' });
  const stopped = new Detokenizer(cut, ['你c']);
  expect([1, 2, 3].map((id) => stopped.push(id)).at(-1)).toEqual({ tokenIds: [1, 2, 3], text: 'ab' });
  // What was given out at an end, "ab" among it, is not given out again.
  const resumed = new Detokenizer(cut);
  resumed.resume([1, 2]);
  expect(resumed.push(3)).toEqual({ tokenIds: [3], text: '你c' });
});

test('only the first token that shows as anything may lose a space, whatever its length', () => {
  /** As a vocabulary that has a space before each word: a lone space, and two words. */
  class SpacedBytes extends TokenBytes {
    override of(id: number): Uint8Array {
      return new TextEncoder().encode(['', ' ', ' a', ' b'][id]);
    }

    override firstOf(id: number): Uint8Array {
      return this.of(id).subarray(1);
    }
  }
  const spaced = new SpacedBytes(tokenizer);
  const textOf = (...ids: number[]): string => {
    const detokenizer = new Detokenizer(spaced);
    return [...ids.map((id) => detokenizer.push(id)), detokenizer.finish()].map(({ text }) => text).join('');
  };
  expect([textOf(2, 3), textOf(0, 2, 3), textOf(1, 2)]).toEqual(['a b', 'a b', ' a']);
});

test('special tokens have no text, but are given out', () => {
  expect(write([2038, ...tokenizer.encode('x'), 2034]).text).toBe('x');
  expect(write([2038]).ids).toEqual([2038]);
});

test('stop texts are found across tokens, and nothing of them is ever given out', () => {
  for (const text of ['Hello wonderful world, hello!', '我是一个小型多模态模型，会看图']) {
    const ids = tokenizer.encode(text);
    for (let from = 0; from < text.length; from++) {
      for (const length of [1, 2, 3, 7]) {
        const stop = text.slice(from, from + length);
        const written = write(ids, ['never written', stop]);
        expect(written.stopped).toBe(true);
        expect(written.text).toBe(text.slice(0, text.indexOf(stop)));
      }
    }
  }
});

test('text that only began like a stop text is given out, overlapping beginnings too', () => {
  const text = 'ababac abab';
  expect(write(tokenizer.encode(text), ['ababab']).text).toBe(text);
  const single = [...'aabaabaaab'].flatMap((character) => tokenizer.encode(character));
  expect(write(single, ['aaab']).text).toBe('aabaab');
  expect(write(single, ['bbb', 'abaa']).text).toBe('a');
});

test('of two stop texts that end together the longer counts', () => {
  expect(write(tokenizer.encode('one two three'), ['three', 'two three']).text).toBe('one ');
});

test('the ids given out so far always have exactly the text given out so far', () => {
  const ids = tokenizer.encode('naïve café 🍎 12345 我是一个小型多模态模型 and the end');
  const detokenizer = new Detokenizer(bytes, ['12346', 'the enD']);
  let text = '';
  const given: number[] = [];
  for (const id of ids) {
    const piece = detokenizer.push(id);
    text += piece.text;
    given.push(...piece.tokenIds);
    expect(write(given).text).toBe(text);
  }
});

test('resumed after what was given out, it goes on where that ended, whatever was held back then', () => {
  const text = 'naïve 🍎 café 我是 the ene the enX';
  const ids = tokenizer.encode(text);
  const stops = ['the enD', 'the ene '.repeat(2)];
  const before = new Detokenizer(bytes, stops);
  let told = '';
  const given: number[] = [];
  for (const id of ids) {
    const piece = before.push(id);
    told += piece.text;
    given.push(...piece.tokenIds);
    const after = new Detokenizer(bytes, stops);
    after.resume(given);
    const rest = [...ids.slice(given.length).map((later) => after.push(later)), after.finish()];
    expect(told + rest.map((piece) => piece.text).join('')).toBe(text);
    expect(rest.flatMap(({ tokenIds }) => tokenIds)).toEqual(ids.slice(given.length));
  }
});

test('text that was given out at a cut is not given out again, and a stop text that began in it still ends the answer', () => {
  const [e, n, d] = ['E', 'N', 'D'].map((letter) => byteToken(letter.charCodeAt(0))) as [number, number, number];
  const cut = new Detokenizer(bytes, ['END']);
  cut.resume([e]);
  expect(cut.cut()).toEqual({ tokenIds: [], text: '' });
  const ended = new Detokenizer(bytes, ['END']);
  ended.resume([e]);
  expect([ended.push(n), ended.push(d)]).toEqual([
    { tokenIds: [], text: '' },
    { tokenIds: [n, d], text: '' },
  ]);
  expect(ended.isStopped).toBe(true);
});

test('a long answer takes time in proportion: each token is touched a bounded number of times', () => {
  let read = 0;
  class CountingBytes extends TokenBytes {
    override of(id: number): Uint8Array {
      read++;
      return super.of(id);
    }
  }
  const counting = new CountingBytes(tokenizer);
  const detokenizer = new Detokenizer(counting, ['aaaaaaaaab']);
  const id = tokenizer.encode('a')[0] as number;
  let written = 0;
  for (let n = 0; n < 20_000; n++) written += detokenizer.push(id).text.length;
  expect(read).toBe(20_000);
  expect(written).toBe(20_000 - 9);
});

test('a cut gives out what was held back, and no stop text reaches over it', () => {
  const detokenizer = new Detokenizer(bytes, ['ab']);
  const [a, b] = ['a', 'b'].map((letter) => byteToken(letter.charCodeAt(0))) as [number, number];
  expect(detokenizer.push(a)).toEqual({ tokenIds: [], text: '' });
  expect(detokenizer.cut()).toEqual({ tokenIds: [a], text: 'a' });
  expect(detokenizer.push(b)).toEqual({ tokenIds: [b], text: 'b' });
  expect(detokenizer.isStopped).toBe(false);
});
