import type { DestinationStream } from 'pino';

/** Turns pino's JSON lines into `12:04:05.678 info  encoder ready grpc=127.0.0.1:4000`. */
export function textDestination(to: DestinationStream): DestinationStream {
  return { write: (line: string) => to.write(`${readable(line)}\n`) };
}

/** In a terminal these move the cursor and hide what is there; text from outside must not. */
const control = /\p{Cc}/gu;

function readable(line: string): string {
  const { level, time, service, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const details = Object.entries(fields).map(([name, value]) => `${name}=${text(value)}`);
  const head = [String(time).slice(11, 23), String(level).padEnd(5), service, msg, ...details].join(' ');
  if (typeof err !== 'object' || err === null) return head;
  const { stack, message } = err as { stack?: string; message?: string };
  const lines = (stack ?? message ?? '').split('\n').map((each) => each.replaceAll(control, ' '));
  return `${head}\n  ${lines.join('\n  ')}`;
}

function text(value: unknown): string {
  const plain = typeof value === 'string' && !/\s/.test(value) ? value : JSON.stringify(value);
  return plain.replaceAll(control, ' ');
}
