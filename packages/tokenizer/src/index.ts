export type { AddedToken } from './added-tokens.js';
export { readSentencePiece } from './sentencepiece/read-sentencepiece.js';
export { type ExtraToken, type SentencePieceOptions, sentencePieceJson } from './sentencepiece/sentencepiece-json.js';
export { type Piece, pieceTypes, type SentencePieceModel } from './sentencepiece/sentencepiece-model.js';
export { ChatTemplate, type TemplateMessage } from './template/chat-template.js';
export { ChatTemplates } from './template/chat-templates.js';
export { chooseTemplate } from './template/choose-template.js';
export type { TokenLetters } from './token-letters.js';
export { Tokenizer } from './tokenizer.js';
