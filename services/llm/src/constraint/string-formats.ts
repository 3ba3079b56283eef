import type { Grammar } from './grammar.js';
import { regexGrammar } from './regex-grammar.js';

const month31 = '(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])';
const month30 = '(0[469]|11)-(0[1-9]|[12][0-9]|30)';
/** The 29th of February is left out: whether a year has it, would take more than it is worth. */
const february = '02-(0[1-9]|1[0-9]|2[0-8])';
const date = `[0-9]{4}-(${month31}|${month30}|${february})`;
/** Seconds end at 59: a leap second would have to be one. */
const time = '([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])';

const patterns = new Map([
  ['date', date],
  ['time', time],
  ['date-time', `${date}T${time}`],
  ['uuid', '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'],
]);

/** The formats of strings that there are. */
export const stringFormats: readonly string[] = [...patterns.keys()];

/** Strings of a format, as RFC 3339 and RFC 9562 say; undefined for a format that is not supported. */
export function stringFormat(name: string): Grammar | undefined {
  const pattern = patterns.get(name);
  return pattern === undefined ? undefined : regexGrammar(pattern, { field: 'format', matches: 'whole' });
}
