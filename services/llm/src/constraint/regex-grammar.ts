import { TesseraError } from '@tessera/protocol';
import { anyCodePoint, type CodePoints, codePoints, codePointsOf, negated } from './code-points.js';
import { character, choice, type Grammar, repeat, sequence } from './grammar.js';

/** Characters of a pattern. */
const mostCharacters = 4096;

const digits = codePoints([[0x30, 0x39]]);
const wordCharacters = codePoints([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
/** WhiteSpace and LineTerminator of ECMA-262. */
const spaces = codePointsOf(
  '\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff',
);
const anyInLine = negated(codePointsOf('\n\r\u2028\u2029'));

const classEscapes: Readonly<Record<string, CodePoints>> = {
  d: digits,
  D: negated(digits),
  w: wordCharacters,
  W: negated(wordCharacters),
  s: spaces,
  S: negated(spaces),
};
const controlEscapes: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

export interface RegexGrammarOptions {
  /** What errors name. */
  readonly field: string;
  /** Said before the problem, where the field does not say it all. */
  readonly where?: string;
  /** Whether the whole text must match, as if the pattern stood between ^ and $; else a part of it must. */
  readonly matches: 'whole' | 'part';
}

/**
 * A regular expression of ECMA-262 with the flag `u` as a form. Groups only group; lazy quantifiers have the same texts as
 * greedy ones; `^` and `$` may stand at the beginning and the end of an alternative of the whole.
 * @throws TesseraError REQUEST_INVALID where it is none, UNSUPPORTED where it looks ahead, behind, back or at word boundaries,
 *   or names Unicode properties
 */
export function regexGrammar(pattern: string, options: RegexGrammarOptions): Grammar {
  const { field, where = '' } = options;
  if (pattern.length > mostCharacters) {
    throw TesseraError.invalidField(field, `${where}has more than ${mostCharacters} characters`);
  }
  try {
    new RegExp(pattern, 'u');
  } catch (reason) {
    throw TesseraError.invalidField(field, `${where}is no regular expression: ${(reason as Error).message}`);
  }
  return new RegexReader(pattern, options).read();
}

/** Reads a pattern that is known to be well-formed. */
class RegexReader {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(
    pattern: string,
    private readonly options: RegexGrammarOptions,
  ) {
    this.#characters = [...pattern];
  }

  read(): Grammar {
    const alternatives: Grammar[] = [];
    do alternatives.push(this.#anchored());
    while (this.#take('|'));
    return choice(...alternatives);
  }

  /** An alternative of the whole pattern, which may say where the text begins and ends. */
  #anchored(): Grammar {
    const isPart = this.options.matches === 'part';
    const fromStart = this.#take('^') || !isPart;
    const items = this.#terms(true);
    const toEnd = this.#take('$') || !isPart;
    const anything = repeat(character(anyCodePoint), 0);
    return sequence(...(fromStart ? [] : [anything]), ...items, ...(toEnd ? [] : [anything]));
  }

  #terms(isOutermost = false): Grammar[] {
    const items: Grammar[] = [];
    for (;;) {
      const next = this.#characters[this.#at];
      if (next === undefined || next === '|' || next === ')') return items;
      if (next === '$' && isOutermost && [undefined, '|'].includes(this.#characters[this.#at + 1])) return items;
      if (next === '^' || next === '$') throw this.#unsupported(`${next} within the pattern`);
      items.push(this.#quantified(this.#atom()));
    }
  }

  #atom(): Grammar {
    const next = this.#next();
    switch (next) {
      case '(':
        return this.#group();
      case '[':
        return character(this.#class());
      case '.':
        return character(anyInLine);
      case '\\':
        return character(codePoints(this.#escape()));
      default:
        return character(codePointsOf(next));
    }
  }

  #group(): Grammar {
    if (this.#take('?')) {
      if (this.#take('<')) {
        const behind = this.#characters[this.#at];
        if (behind === '=' || behind === '!') throw this.#unsupported('looking behind');
        while (this.#next() !== '>');
      } else if (!this.#take(':')) {
        const kind = this.#next();
        throw this.#unsupported(kind === '=' || kind === '!' ? 'looking ahead' : 'changing flags');
      }
    }
    const alternatives: Grammar[] = [];
    do alternatives.push(sequence(...this.#terms()));
    while (this.#take('|'));
    this.#next();
    return choice(...alternatives);
  }

  #quantified(item: Grammar): Grammar {
    let bounds: readonly [number, number | undefined];
    if (this.#take('*')) bounds = [0, undefined];
    else if (this.#take('+')) bounds = [1, undefined];
    else if (this.#take('?')) bounds = [0, 1];
    else if (this.#take('{')) bounds = this.#bounds();
    else return item;
    // Lazy: the same texts.
    this.#take('?');
    const [least, most] = bounds;
    return repeat(item, least, most);
  }

  #bounds(): readonly [number, number | undefined] {
    let inside = '';
    for (let next = this.#next(); next !== '}'; next = this.#next()) inside += next;
    const [least = '', most] = inside.split(',');
    return [Number(least), most === undefined ? Number(least) : most === '' ? undefined : Number(most)];
  }

  #class(): CodePoints {
    const isNegated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const from = this.#classMember();
      const isRange = this.#characters[this.#at] === '-' && this.#characters[this.#at + 1] !== ']';
      if (!isRange) {
        ranges.push(...from);
        continue;
      }
      this.#at++;
      const to = this.#classMember();
      ranges.push([from[0]?.[0] as number, to[0]?.[0] as number]);
    }
    const points = codePoints(ranges);
    return isNegated ? negated(points) : points;
  }

  #classMember(): CodePoints {
    const next = this.#next();
    if (next !== '\\') return single(next.codePointAt(0) as number);
    if (this.#take('b')) return single(8);
    return this.#escape();
  }

  /** What stands after a backslash. */
  #escape(): CodePoints {
    const kind = this.#next();
    const known = classEscapes[kind];
    if (known !== undefined) return known;
    const control = controlEscapes[kind];
    if (control !== undefined) return single(control);
    if (/[1-9k]/.test(kind)) throw this.#unsupported('looking back at a group');
    if (kind === 'b' || kind === 'B') throw this.#unsupported(`\\${kind}`);
    if (kind === 'p' || kind === 'P') throw this.#unsupported('Unicode properties');
    if (kind === 'c') return single((this.#next().codePointAt(0) as number) % 32);
    if (kind === 'x') return single(this.#hex(2));
    if (kind === 'u') return single(this.#unicode());
    return single(kind.codePointAt(0) as number);
  }

  #unicode(): number {
    if (this.#take('{')) {
      let digits = '';
      for (let next = this.#next(); next !== '}'; next = this.#next()) digits += next;
      return Number.parseInt(digits, 16);
    }
    const first = this.#hex(4);
    const isPair =
      first >= 0xd800 && first < 0xdc00 && this.#characters.slice(this.#at, this.#at + 2).join('') === '\\u';
    if (!isPair) return first;
    const back = this.#at;
    this.#at += 2;
    const second = this.#characters[this.#at] === '{' ? 0 : this.#hex(4);
    if (second >= 0xdc00 && second < 0xe000) return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    this.#at = back;
    return first;
  }

  #hex(count: number): number {
    let digits = '';
    for (let n = 0; n < count; n++) digits += this.#next();
    return Number.parseInt(digits, 16);
  }

  #take(expected: string): boolean {
    if (this.#characters[this.#at] !== expected) return false;
    this.#at++;
    return true;
  }

  #next(): string {
    const next = this.#characters[this.#at++];
    // A pattern that RegExp takes does not end within anything.
    if (next === undefined) throw this.#unsupported('a form of expression that it has');
    return next;
  }

  #unsupported(what: string): TesseraError {
    const { field, where = '' } = this.options;
    return new TesseraError('UNSUPPORTED', `${field}: ${where}${what} is not supported in patterns that hold a text`, {
      field,
    });
  }
}

/** One code point, a surrogate among others: it may be the end of a range. */
function single(point: number): CodePoints {
  return [[point, point]];
}
