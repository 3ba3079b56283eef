import { SingleBar } from 'cli-progress';

const colour = process.stderr.isTTY === true && process.env.NO_COLOR === undefined;

function dim(text: string): string {
  return colour ? `\u001b[2m${text}\u001b[0m` : text;
}

export function bold(text: string): string {
  return colour ? `\u001b[1m${text}\u001b[0m` : text;
}

/** Notes go to stderr, so that stdout holds only the answer. */
export function note(text: string): void {
  process.stderr.write(`${dim(text)}\n`);
}

export interface Progress {
  update(done: number, total: number, label?: string): void;
  stop(): void;
}

/**
 * A progress bar on stderr for work that lasts longer than a second; shorter work shows none. Where stderr is no
 * terminal it writes a line for each tenth instead.
 */
export function progress(title: string): Progress {
  const startedAt = performance.now();
  let bar: SingleBar | undefined;
  let tenth = -1;
  return {
    update(done, total, label = '') {
      if (performance.now() - startedAt < 1000) return;
      if (process.stderr.isTTY !== true) {
        const reached = Math.floor((10 * done) / Math.max(1, total));
        if (reached > tenth) note(`${title} ${reached * 10} % ${label}`);
        tenth = Math.max(tenth, reached);
        return;
      }
      if (bar === undefined) {
        bar = new SingleBar({
          format: `${title} {bar} {percentage} % {label}`,
          barsize: 30,
          hideCursor: true,
          clearOnComplete: true,
          stream: process.stderr,
        });
        bar.start(total, done, { label });
      } else {
        bar.setTotal(total);
        bar.update(done, { label });
      }
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}

/** Columns of text, aligned; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        /^[\d.]+( [A-Z%])?$/.test(cell) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}
