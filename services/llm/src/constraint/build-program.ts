import { TesseraError } from '@tessera/protocol';
import { type ConstraintProgram, edgeKinds, endless, mostNesting } from './constraint-program.js';
import type { Grammar, List, Rule } from './grammar.js';
import { utf8Sequences } from './utf8-ranges.js';

/** States of one program: what a form may be made of. */
const mostStates = 50_000;

interface BuiltRule {
  readonly start: number;
  readonly end: number;
  readonly nests: boolean;
}

/**
 * @param key names the form among others
 * @param field what is named in errors
 * @throws TesseraError REQUEST_INVALID where the form is too large, nothing has it, or a rule begins with itself
 */
export function buildProgram(grammar: Grammar, key: string, field: string): ConstraintProgram {
  return new ProgramBuilder(field).build(grammar, key);
}

class ProgramBuilder {
  /** By state, its edges: three numbers each. */
  readonly #edges: number[][] = [];
  readonly #isEnd: boolean[] = [];
  readonly #rules = new Map<Rule, BuiltRule>();
  readonly #unbuilt: (readonly [Rule, BuiltRule])[] = [];

  constructor(private readonly field: string) {}

  build(grammar: Grammar, key: string): ConstraintProgram {
    const main = this.#declare({ nests: false, body: () => grammar });
    for (let next = this.#unbuilt.pop(); next !== undefined; next = this.#unbuilt.pop()) {
      const [rule, { start, end }] = next;
      this.#add(rule.body(), start, end);
    }
    this.#refuseLeftRecursion();
    const nestingNeeded = this.#nestingNeeded();
    const needed = nestingNeeded[main.start] as number;
    if (needed > mostNesting) throw this.#invalid('is a form that no text has');
    const edgesFrom = new Int32Array(this.#edges.length + 1);
    for (const [state, edges] of this.#edges.entries()) {
      edgesFrom[state + 1] = (edgesFrom[state] as number) + edges.length;
    }
    return {
      key,
      start: main.start,
      edgesFrom,
      edges: Int32Array.from(this.#edges.flat()),
      isEnd: Uint8Array.from(this.#isEnd, Number),
      nestingNeeded,
    };
  }

  #declare(rule: Rule): BuiltRule {
    const known = this.#rules.get(rule);
    if (known !== undefined) return known;
    const built = { start: this.#state(), end: this.#state(), nests: rule.nests };
    this.#isEnd[built.end] = true;
    this.#rules.set(rule, built);
    this.#unbuilt.push([rule, built]);
    return built;
  }

  #state(): number {
    if (this.#edges.length === mostStates) {
      throw this.#invalid(`is too large a form: it takes more than ${mostStates} states`);
    }
    this.#isEnd.push(false);
    return this.#edges.push([]) - 1;
  }

  #edge(from: number, kind: number, to: number, back = 0): void {
    this.#edges[from]?.push(kind, to, back);
  }

  #skip(from: number, to: number): void {
    this.#edge(from, edgeKinds.nothing, to);
  }

  #add(grammar: Grammar, from: number, to: number): void {
    switch (grammar.type) {
      case 'text':
        this.#addBytes(
          [...new TextEncoder().encode(grammar.text)].map((byte) => [byte, byte] as const),
          from,
          to,
        );
        break;
      case 'character':
        for (const bytes of utf8Sequences(grammar.points)) this.#addBytes(bytes, from, to);
        break;
      case 'sequence': {
        let at = from;
        for (const item of grammar.items) {
          const next = this.#state();
          this.#add(item, at, next);
          at = next;
        }
        this.#skip(at, to);
        break;
      }
      case 'choice':
        for (const option of grammar.options) {
          const start = this.#state();
          this.#skip(from, start);
          this.#add(option, start, to);
        }
        break;
      case 'repeat':
        this.#addRepeat(grammar, from, to);
        break;
      case 'list':
        this.#addList(grammar.list, from, to);
        break;
      case 'rule':
        this.#call(grammar.rule, from, to);
        break;
    }
  }

  #call(rule: Rule, from: number, to: number): void {
    const { start, nests } = this.#declare(rule);
    this.#edge(from, nests ? edgeKinds.nestedCall : edgeKinds.call, start, to);
  }

  #addBytes(bytes: readonly (readonly [number, number])[], from: number, to: number): void {
    if (bytes.length === 0) this.#skip(from, to);
    let at = from;
    for (const [place, [least, most]] of bytes.entries()) {
      const next = place === bytes.length - 1 ? to : this.#state();
      this.#edge(at, least * 256 + most, next);
      at = next;
    }
  }

  #addRepeat({ item, least, most }: Extract<Grammar, { type: 'repeat' }>, from: number, to: number): void {
    // An item that stands in several places is a rule of its own, so that each of them takes one state.
    const places = most ?? Math.max(1, least);
    const rule = item.type === 'rule' ? item.rule : { nests: false, body: () => item };
    let at = this.#state();
    this.#skip(from, at);
    for (let n = 0; n < places; n++) {
      if (n >= least) this.#skip(at, to);
      const next = this.#state();
      if (places === 1) this.#add(item, at, next);
      else this.#call(rule, at, next);
      // Without an end the last of them comes again.
      if (most === undefined && n === places - 1) this.#skip(next, at);
      at = next;
    }
    this.#skip(at, to);
  }

  #addList({ items, separator, more }: List, from: number, to: number): void {
    // Two ways through the items: one on which none came yet, and one on which the next is preceded by a separator.
    let none = this.#state();
    this.#skip(from, none);
    let some: number | undefined;
    for (const { item, isRequired } of items) {
      const nextNone = this.#state();
      const nextSome = this.#state();
      const rule = { nests: false, body: () => item };
      this.#call(rule, none, nextSome);
      if (!isRequired) this.#skip(none, nextNone);
      if (some !== undefined) {
        const separated = this.#state();
        this.#add(separator, some, separated);
        this.#call(rule, separated, nextSome);
        if (!isRequired) this.#skip(some, nextSome);
      }
      none = nextNone;
      some = nextSome;
    }
    this.#skip(none, to);
    if (some !== undefined) this.#skip(some, to);
    if (more === undefined) return;
    const rule = { nests: false, body: () => more };
    const after = some ?? this.#state();
    this.#call(rule, none, after);
    const separated = this.#state();
    this.#add(separator, after, separated);
    this.#call(rule, separated, after);
    if (some === undefined) this.#skip(after, to);
  }

  /** Counts from the ends of the rules backwards until nothing gets less. */
  #nestingNeeded(): Uint8Array {
    const needed = new Uint8Array(this.#edges.length).fill(endless);
    for (const [state, isEnd] of this.#isEnd.entries()) if (isEnd) needed[state] = 0;
    for (let isChanged = true; isChanged; ) {
      isChanged = false;
      // Most edges lead to states that were made later.
      for (let state = this.#edges.length - 1; state >= 0; state--) {
        const edges = this.#edges[state] as number[];
        let least = needed[state] as number;
        for (let at = 0; at < edges.length; at += 3) least = Math.min(least, this.#neededAlong(edges, at, needed));
        if (least < (needed[state] as number)) {
          needed[state] = least;
          isChanged = true;
        }
      }
    }
    return needed;
  }

  #neededAlong(edges: readonly number[], at: number, needed: Uint8Array): number {
    const kind = edges[at] as number;
    const target = needed[edges[at + 1] as number] as number;
    if (kind !== edgeKinds.call && kind !== edgeKinds.nestedCall) return target;
    const inside = kind === edgeKinds.nestedCall ? target + 1 : target;
    return Math.min(endless, Math.max(inside, needed[edges[at + 2] as number] as number));
  }

  /** A rule that calls itself before any byte would be gone into without end. */
  #refuseLeftRecursion(): void {
    const byStart = new Map([...this.#rules.values()].map((rule) => [rule.start, rule]));
    const canBeEmpty = new Set<number>();
    for (let size = -1; size < canBeEmpty.size; ) {
      size = canBeEmpty.size;
      for (const { start, end } of byStart.values()) {
        if (!canBeEmpty.has(start) && this.#reachable(start, canBeEmpty).has(end)) canBeEmpty.add(start);
      }
    }
    const done = new Set<number>();
    const within = new Set<number>();
    const enter = (start: number): void => {
      if (done.has(start)) return;
      if (within.has(start)) throw this.#invalid('has a part that is nothing but itself');
      within.add(start);
      for (const state of this.#reachable(start, canBeEmpty)) {
        const edges = this.#edges[state] as number[];
        for (let at = 0; at < edges.length; at += 3) {
          if (edges[at] === edgeKinds.call || edges[at] === edgeKinds.nestedCall) enter(edges[at + 1] as number);
        }
      }
      within.delete(start);
      done.add(start);
    };
    for (const start of byStart.keys()) enter(start);
  }

  /** The states of a rule that are reached without a byte. */
  #reachable(start: number, canBeEmpty: ReadonlySet<number>): Set<number> {
    const reached = new Set([start]);
    for (const state of reached) {
      const edges = this.#edges[state] as number[];
      for (let at = 0; at < edges.length; at += 3) {
        const [kind, target, back] = [edges[at], edges[at + 1] as number, edges[at + 2] as number];
        if (kind === edgeKinds.nothing) reached.add(target);
        else if ((kind as number) < edgeKinds.nothing && canBeEmpty.has(target)) reached.add(back);
      }
    }
    return reached;
  }

  #invalid(problem: string): TesseraError {
    return TesseraError.invalidField(this.field, problem);
  }
}
