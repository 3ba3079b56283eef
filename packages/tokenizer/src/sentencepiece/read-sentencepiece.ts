import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire';
import { TesseraError } from '@tessera/protocol';
import { invalid } from '../invalid.js';
import { mostTokens } from '../model/vocabulary.js';
import { type Piece, pieceTypes, type SentencePieceModel } from './sentencepiece-model.js';

const algorithms: Readonly<Record<number, string>> = { 1: 'unigram', 2: 'bpe', 3: 'word', 4: 'char' };

/**
 * Reads a tokenizer.model: the fields of sentencepiece_model.proto that decide how a text is cut.
 * @param where the file, in errors
 * @throws TesseraError CHECKPOINT_INVALID where it is none, or asks for what is not built
 */
export function readSentencePiece(bytes: Uint8Array, where: string): SentencePieceModel {
  const model = { algorithm: 1, suffixes: false, dummy: true, remove: true, escape: true };
  let charsmap: Uint8Array = new Uint8Array(0);
  const pieces: Piece[] = [];
  try {
    eachField(bytes, (field, reader) => {
      if (field === 1) {
        if (pieces.length >= mostTokens) throw invalid(where, `has more than ${mostTokens} pieces`);
        pieces.push(readPiece(reader.bytes()));
      } else if (field === 2) {
        eachField(reader.bytes(), (inner, trainer) => {
          if (inner === 3) model.algorithm = trainer.int32();
          else if (inner === 24) model.suffixes = trainer.bool();
          else return false;
          return true;
        });
      } else if (field === 3) {
        eachField(reader.bytes(), (inner, normalizer) => {
          if (inner === 2) charsmap = normalizer.bytes();
          else if (inner === 3) model.dummy = normalizer.bool();
          else if (inner === 4) model.remove = normalizer.bool();
          else if (inner === 5) model.escape = normalizer.bool();
          else return false;
          return true;
        });
      } else return false;
      return true;
    });
  } catch (cause) {
    throw cause instanceof TesseraError ? cause : invalid(where, 'is no sentencepiece model', cause);
  }
  if (pieces.length === 0) throw invalid(where, 'is no sentencepiece model: it has no pieces');
  const algorithm = algorithms[model.algorithm] ?? String(model.algorithm);
  if (algorithm !== 'bpe' && algorithm !== 'unigram') {
    throw invalid(where, `is a sentencepiece model of type ${algorithm}; bpe and unigram are supported`);
  }
  if (model.suffixes) throw invalid(where, 'treat_whitespace_as_suffix is not supported');
  if (!model.escape) throw invalid(where, 'escape_whitespaces false is not supported');
  const { dummy: addDummyPrefix, remove: removeExtraWhitespaces } = model;
  return { algorithm, pieces, charsmap, addDummyPrefix, removeExtraWhitespaces };
}

function readPiece(bytes: Uint8Array): Piece {
  let [text, score, type]: [string, number, number] = ['', 0, pieceTypes.normal];
  eachField(bytes, (field, reader) => {
    if (field === 1) text = reader.string();
    else if (field === 2) score = reader.float();
    else if (field === 3) type = reader.int32();
    else return false;
    return true;
  });
  return { text, score, type };
}

/** @param take reads the field that comes, or says that it does not want it */
function eachField(bytes: Uint8Array, take: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType]: [number, WireType] = reader.tag();
    if (!take(field, reader)) reader.skip(wireType, field);
  }
}
