import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { Tokenizer } from '../tokenizer.js';
import { readSentencePiece } from './read-sentencepiece.js';
import { sentencePieceJson } from './sentencepiece-json.js';

type Write = (writer: BinaryWriter) => BinaryWriter;

/** A field that holds others, as sentencepiece_model.proto numbers them. */
const message = (field: number, write: Write): Uint8Array =>
  new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(write(new BinaryWriter()).finish()).finish();
const text =
  (field: number, value: string): Write =>
  (writer) =>
    writer.tag(field, WireType.LengthDelimited).string(value);
const flag =
  (field: number, value: boolean): Write =>
  (writer) =>
    writer.tag(field, WireType.Varint).bool(value);
const number =
  (field: number, value: number): Write =>
  (writer) =>
    writer.tag(field, WireType.Varint).int32(value);
const float =
  (field: number, value: number): Write =>
  (writer) =>
    writer.tag(field, WireType.Bit32).float(value);
const all =
  (...writes: readonly Write[]): Write =>
  (writer) =>
    writes.reduce((before, write) => write(before), writer);
const file = (...messages: readonly Uint8Array[]) => readSentencePiece(Buffer.concat(messages), 'x.model');

const piece = message(1, text(1, 'a'));
const trainer = (...writes: readonly Write[]): Uint8Array => message(2, all(...writes));
const normalizer = (...writes: readonly Write[]): Uint8Array => message(3, all(...writes));

test('what a model says is read, and what it says of other things is passed over', () => {
  const model = file(
    message(1, all(text(1, '▁the'), float(2, -1.5), number(3, 4))),
    message(1, all(number(77, 5), text(1, 'b'))),
    trainer(text(1, 'corpus.txt'), number(3, 2), flag(24, false)),
    normalizer(text(1, 'nmt_nfkc'), text(2, 'map'), flag(3, false), flag(4, false), flag(5, true)),
    message(4, text(1, 'self-test')),
  );
  expect(model).toEqual({
    algorithm: 'bpe',
    pieces: [
      { text: '▁the', score: -1.5, type: 4 },
      { text: 'b', score: 0, type: 1 },
    ],
    charsmap: Buffer.from('map'),
    addDummyPrefix: false,
    removeExtraWhitespaces: false,
  });
});

test('what a model does not say is as sentencepiece has it', () => {
  expect(file(piece)).toMatchObject({
    algorithm: 'unigram',
    charsmap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
  });
});

test.each<[string, Uint8Array[], RegExp]>([
  ['without pieces', [trainer(number(3, 2))], /is no sentencepiece model: it has no pieces/],
  ['of words', [piece, trainer(number(3, 3))], /is a sentencepiece model of type word; bpe and unigram/],
  ['of another type', [piece, trainer(number(3, 9))], /is a sentencepiece model of type 9; bpe and unigram/],
  ['that marks the ends of words', [piece, trainer(flag(24, true))], /treat_whitespace_as_suffix is not supported/],
  ['that leaves spaces as they are', [piece, normalizer(flag(5, false))], /escape_whitespaces false is not supported/],
])('a model %s is refused', (_, messages, why) => {
  expect(() => file(...messages)).toThrow(
    expect.objectContaining({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(why) }),
  );
});

test('each stretch between added tokens begins as a word does, unless the tokenizer is no legacy one', () => {
  const texts: [string, number][] = [
    ['<unk>', 2],
    ['<s>', 3],
    ['▁', 1],
    ['b', 1],
  ];
  const pieces = texts.map(([own, type], id) => ({ text: own, score: -id, type }));
  const model = {
    algorithm: 'bpe',
    pieces,
    charsmap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: false,
  } as const;
  const ids = (legacy?: boolean): number[] =>
    [...new Tokenizer(sentencePieceJson(model, { where: 'x.model', legacy })).split('b<s>b')].flatMap((part) =>
      'id' in part ? [part.id] : [...part],
    );
  expect(ids()).toEqual([2, 3, 1, 2, 3]);
  expect(ids(true)).toEqual(ids());
  expect(ids(false)).toEqual([2, 3, 1, 3]);
});
