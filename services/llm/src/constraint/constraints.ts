import { type AutomatonState, ByteAutomaton } from './byte-automaton.js';
import type { ConstraintProgram } from './constraint-program.js';
import { type InnerMask, maskBytes, type TokenMask, tokenMask } from './token-mask.js';
import type { TokenTrie } from './token-trie.js';

/** Bytes of masks of one kind that are kept, of all forms together, unless something else is said. */
const mostMaskBytes = 32 * 1024 * 1024;
/** What a leaving takes beside its path, about. */
const leavingBytes = 200;
/** Forms whose automatons are kept. */
const mostForms = 16;

/** Tokens as texts. */
interface WrittenTokens {
  readonly trie: TokenTrie;
  /** The bytes of a token; none where it is not written as text. */
  readonly bytesOf: (tokenId: number) => Uint8Array;
}

/** Tokens as a text begins with them. */
interface FirstTokens extends WrittenTokens {
  /** Those of which nothing is written there, though it is anywhere else: a text begins behind them. */
  readonly silent: readonly number[];
}

/** What a tokenizer gives. */
export interface ConstraintVocabulary extends WrittenTokens {
  /** The tokens as a text begins with them, where any is written otherwise there: without the space before its word. */
  readonly first?: FirstTokens | undefined;
  /** Tokens that end a text. */
  readonly endTokenIds: readonly number[];
}

/** One text on its way to its form. */
export interface Constraint {
  /**
   * Which tokens may come next.
   * @throws TesseraError REQUEST_INVALID where it is too much work to tell
   */
  mask(): TokenMask;
  /** Takes in a token that was written. After one that may not come, nothing may. */
  write(tokenId: number): void;
}

/**
 * The forms that texts of one engine are held to. What was found out about a form is kept for the next text that has it: its
 * automaton, and masks, of which those unused longest go first.
 */
export class Constraints {
  readonly #automatons = new Map<string, ByteAutomaton>();
  readonly #masks: KeptMasks<TokenMask>;
  /** Of texts that have not begun. */
  readonly #firstMasks: KeptMasks<TokenMask>;
  readonly #innerMasks: KeptMasks<InnerMask>;

  constructor(
    private readonly vocabulary: ConstraintVocabulary,
    mostBytes = mostMaskBytes,
  ) {
    this.#masks = new KeptMasks(mostBytes, maskBytes);
    this.#firstMasks = new KeptMasks(mostBytes / 8, maskBytes);
    this.#innerMasks = new KeptMasks(mostBytes, ({ bits, leavings }) =>
      leavings.reduce((sum, { path }) => sum + path.length + leavingBytes, bits.byteLength),
    );
  }

  /** Begins a text. */
  begin(program: ConstraintProgram): Constraint {
    const automaton = this.#automaton(program);
    let state: AutomatonState | null = automaton.start;
    let { first } = this.vocabulary;
    return {
      mask: () => {
        if (state === null) return nothing;
        return first === undefined ? this.#mask(automaton, state) : this.#firstMask(automaton, state, first);
      },
      write: (tokenId) => {
        automaton.allowWork();
        const { bytesOf } = first ?? this.vocabulary;
        for (const byte of bytesOf(tokenId)) state = state && automaton.step(state, byte);
        if (first !== undefined && this.vocabulary.bytesOf(tokenId).length > 0) first = undefined;
      },
    };
  }

  #automaton(program: ConstraintProgram): ByteAutomaton {
    const known = this.#automatons.get(program.key);
    this.#automatons.delete(program.key);
    const automaton = known ?? new ByteAutomaton(program);
    this.#automatons.set(program.key, automaton);
    if (this.#automatons.size > mostForms) this.#automatons.delete(firstKey(this.#automatons));
    return automaton;
  }

  #firstMask(automaton: ByteAutomaton, state: AutomatonState, { trie, silent }: FirstTokens): TokenMask {
    return this.#firstMasks.get(state, () => {
      automaton.allowWork();
      return tokenMask(automaton, state, trie, this.vocabulary.endTokenIds, (_, make) => make(), silent);
    });
  }

  #mask(automaton: ByteAutomaton, state: AutomatonState): TokenMask {
    return this.#masks.get(state, () => {
      automaton.allowWork();
      const { trie, endTokenIds } = this.vocabulary;
      return tokenMask(automaton, state, trie, endTokenIds, (inner, make) => this.#innerMasks.get(inner, make));
    });
  }
}

/** Masks by what they are of, up to so many bytes. */
class KeptMasks<M> {
  readonly #masks = new Map<AutomatonState, M>();
  #bytes = 0;

  constructor(
    private readonly most: number,
    private readonly bytesOf: (mask: M) => number,
  ) {}

  get(state: AutomatonState, make: () => M): M {
    const known = this.#masks.get(state);
    this.#masks.delete(state);
    const mask = known ?? make();
    this.#masks.set(state, mask);
    if (known !== undefined) return mask;
    this.#bytes += this.bytesOf(mask);
    while (this.#bytes > this.most && this.#masks.size > 1) {
      const oldest = firstKey(this.#masks);
      this.#bytes -= this.bytesOf(this.#masks.get(oldest) as M);
      this.#masks.delete(oldest);
    }
    return mask;
  }
}

const nothing: TokenMask = { type: 'few', ids: new Int32Array(0) };

function firstKey<K>(map: ReadonlyMap<K, unknown>): K {
  return map.keys().next().value as K;
}
