import { Tokenizer } from '@huggingface/tokenizers';
import { TesseraError } from '@tessera/protocol';
import { type AddedToken, AddedTokenSplitter, readAddedTokens } from './added-tokens.js';

/**
 * The model's tokenizer in two strict halves: words, which never become added tokens whatever they say, and added
 * tokens, which only the chat template may write.
 */
export class TextTokenizer {
  readonly addedTokens: readonly AddedToken[];
  readonly splitter: AddedTokenSplitter;
  /** The most UTF-16 units that one token stands for; so `maxTokens * longestToken` bounds any text that could fit. */
  readonly longestToken: number;
  readonly #plain: Tokenizer;

  /**
   * @param tokenizerJson the parsed tokenizer.json
   * @param tokenizerConfig the parsed tokenizer_config.json
   * @throws TesseraError CHECKPOINT_INVALID when the tokenizer cannot be built
   */
  constructor(tokenizerJson: object, tokenizerConfig: object) {
    this.addedTokens = readAddedTokens(tokenizerJson);
    this.splitter = new AddedTokenSplitter(this.addedTokens);
    try {
      this.#plain = new Tokenizer({ ...tokenizerJson, added_tokens: [] }, tokenizerConfig);
    } catch (cause) {
      throw new TesseraError('CHECKPOINT_INVALID', 'tokenizer.json: the tokenizer cannot be built from it', { cause });
    }
    let longest = 1;
    for (const token of this.#plain.get_vocab().keys()) longest = Math.max(longest, token.length);
    this.longestToken = longest;
  }

  /** Ids of plain text. Special-token text in it is spelled out letter by letter, like any other word. */
  encode(text: string): number[] {
    return text === '' ? [] : this.#plain.encode(text, { add_special_tokens: false }).ids;
  }

  /** What the vocabulary has for an id, in its own alphabet; undefined for an unknown id. */
  rawToken(id: number): string | undefined {
    return this.#plain.id_to_token(id);
  }
}
