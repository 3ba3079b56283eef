import { type ErrorCode, errorTable } from '@tessera/protocol';

/** One line of docs/errors.md. */
export type ErrorDescription = { readonly code: ErrorCode } & (typeof errorTable)[ErrorCode];

export function describeErrors(): ErrorDescription[] {
  return (Object.keys(errorTable) as ErrorCode[]).map((code) => ({ code, ...errorTable[code] }));
}

/** A Markdown table of every error. */
export function errorsMarkdown(): string {
  const rows = describeErrors().map(
    (row) =>
      `| \`${row.code}\` | ${row.grpc} | ${row.http} | ${row.retryable ? 'yes' : 'no'} | ${row.meaning} | ${row.whatToDo} |`,
  );
  return ['| Code | gRPC | HTTP | Retryable | Meaning | What to do |', '|---|---|---|---|---|---|', ...rows].join('\n');
}
