/**
 * A value of one of the contract's enums as a word, such as `image` or `tool_calls`. One that this version of the client
 * does not know is `unspecified`.
 */
export function wordOf<Word extends string>(names: Readonly<Record<number, string>>, value: number): Word {
  return (names[value] ?? 'UNSPECIFIED').toLowerCase() as Word;
}
