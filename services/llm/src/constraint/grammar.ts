import { type CodePoints, codePointsOf } from './code-points.js';

/** A form that a text can have. Rules may refer to each other, in circles too. */
export type Grammar =
  /** One character of a set. */
  | { readonly type: 'character'; readonly points: CodePoints }
  /** These characters. */
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'sequence'; readonly items: readonly Grammar[] }
  | { readonly type: 'choice'; readonly options: readonly Grammar[] }
  /** `most` undefined: without end. */
  | { readonly type: 'repeat'; readonly item: Grammar; readonly least: number; readonly most: number | undefined }
  | { readonly type: 'list'; readonly list: List }
  | { readonly type: 'rule'; readonly rule: Rule };

/** Items in a fixed order, some of which may be left out, with a separator between those that are there. */
export interface List {
  readonly items: readonly { readonly item: Grammar; readonly isRequired: boolean }[];
  readonly separator: Grammar;
  /** Comes after them, as often as it likes. */
  readonly more?: Grammar | undefined;
}

/** A form with a name of its own. */
export interface Rule {
  /** Whether it is a level of nesting, of which a text has no more than `mostNesting` within each other. */
  readonly nests: boolean;
  /** Looked at once, after all that it refers to may be referred to. */
  readonly body: () => Grammar;
}

export const text = (value: string): Grammar => ({ type: 'text', text: value });
export const character = (points: CodePoints): Grammar => ({ type: 'character', points });
export const oneOf = (characters: string): Grammar => character(codePointsOf(characters));
export const sequence = (...items: readonly Grammar[]): Grammar => ({ type: 'sequence', items });
export const choice = (...options: readonly Grammar[]): Grammar =>
  options.length === 1 ? (options[0] as Grammar) : { type: 'choice', options };
export const repeat = (item: Grammar, least: number, most?: number): Grammar => ({ type: 'repeat', item, least, most });
export const optional = (item: Grammar): Grammar => repeat(item, 0, 1);
export const list = (items: List['items'], separator: Grammar, more?: Grammar): Grammar => ({
  type: 'list',
  list: { items, separator, more },
});
/** A rule that is no level of nesting. */
export const shared = (body: Grammar): Grammar => ({ type: 'rule', rule: { nests: false, body: () => body } });
export const ruleOf = (rule: Rule): Grammar => ({ type: 'rule', rule });
