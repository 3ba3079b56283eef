import { type AutomatonState, ByteAutomaton } from './byte-automaton.js';
import type { ConstraintProgram } from './constraint-program.js';
import { type InnerMask, maskBytes, type TokenMask, tokenMask } from './token-mask.js';
import type { TokenTrie } from './token-trie.js';

/** Bytes of masks of one kind that are kept, of all forms together. */
const mostMaskBytes = 32 * 1024 * 1024;
/** What a leaving takes beside its path, about. */
const leavingBytes = 200;
/** Forms whose automatons are kept. */
const mostForms = 16;

/** What a tokenizer gives. */
export interface ConstraintVocabulary {
  readonly trie: TokenTrie;
  /** The bytes of a token; none where it is not written as text. */
  readonly bytesOf: (tokenId: number) => Uint8Array;
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
  readonly #masks = new KeptMasks<TokenMask>(mostMaskBytes, maskBytes);
  readonly #innerMasks = new KeptMasks<InnerMask>(mostMaskBytes, ({ bits, leavings }) =>
    leavings.reduce((sum, { path }) => sum + path.length + leavingBytes, bits.byteLength),
  );

  constructor(private readonly vocabulary: ConstraintVocabulary) {}

  /** Begins a text. */
  begin(program: ConstraintProgram): Constraint {
    const automaton = this.#automaton(program);
    let state: AutomatonState | null = automaton.start;
    return {
      mask: () => (state === null ? nothing : this.#mask(automaton, state)),
      write: (tokenId) => {
        automaton.allowWork();
        for (const byte of this.vocabulary.bytesOf(tokenId)) state = state && automaton.step(state, byte);
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
