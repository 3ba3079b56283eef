/** A cell: text as it is, a number with the digits of its column. Undefined is shown as a dash. */
export type Cell = string | number | undefined;

interface Column {
  readonly title: string;
  /** Decimals of numbers; 0 when absent. */
  readonly digits?: number;
}

/** One table of the report. */
export interface Section {
  readonly title: string;
  /** What was measured and how, in sentences; shown above the table. */
  readonly notes: readonly string[];
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

function render(cell: Cell, { digits = 0 }: Column): string {
  if (cell === undefined) return '-';
  return typeof cell === 'number' ? cell.toFixed(digits) : cell;
}

/** A section as text: columns aligned, those of numbers to the right. */
export function sectionText({ title, notes, columns, rows }: Section): string {
  const cells = rows.map((row) => columns.map((column, index) => render(row[index], column)));
  const widths = columns.map(({ title: head }, index) =>
    Math.max(head.length, ...cells.map((row) => (row[index] as string).length)),
  );
  const isNumeric = columns.map((_, index) => rows.some((row) => typeof row[index] === 'number'));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) =>
        isNumeric[index] ? text.padStart(widths[index] as number) : text.padEnd(widths[index] as number),
      )
      .join('  ')
      .trimEnd();
  return [
    `## ${title}`,
    '',
    ...notes,
    '',
    line(columns.map(({ title: head }) => head)),
    widths.map((width) => '-'.repeat(width)).join('  '),
    ...cells.map(line),
    '',
  ].join('\n');
}

/** A section for programs: rows keyed by the titles of the columns, numbers unrounded. */
export function sectionJson({ title, notes, columns, rows }: Section): object {
  const entries = rows.map((row) =>
    Object.fromEntries(columns.map(({ title: head }, index) => [head, row[index] ?? null])),
  );
  return { title, notes, rows: entries };
}
