import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';

/** How a process ended. */
export interface CommandEnd {
  /** Null where a signal ended it, or it could not be started. */
  readonly status: number | null;
  readonly stdout: string;
  /** Of a process that could not be started: why. */
  readonly stderr: string;
}

/** What a process writes. */
export interface CapturedOutput {
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves when it has ended and all that it wrote is there. */
  readonly ended: Promise<CommandEnd>;
}

/** Reads what a process writes to the pipes that it has; a stream that is no pipe is empty. */
export function captureOutput(child: ChildProcess): CapturedOutput {
  const written = { stdout: '', stderr: '' };
  const read = (stream: Readable | null, name: 'stdout' | 'stderr'): Promise<unknown> | undefined => {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
    });
    return stream === null ? undefined : once(stream, 'end');
  };
  // Not 'close', which never comes once the parent has disconnected.
  const drained = Promise.all([read(child.stdout, 'stdout'), read(child.stderr, 'stderr')]);
  const ended = new Promise<CommandEnd>((resolve) => {
    child.once('error', ({ message }) => resolve({ status: null, stdout: written.stdout, stderr: message }));
    child.once('exit', (status) => void drained.then(() => resolve({ status, ...written })));
  });
  return { stdout: () => written.stdout, stderr: () => written.stderr, ended };
}
