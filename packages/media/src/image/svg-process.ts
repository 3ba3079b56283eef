import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import { throwIfAborted } from '../throw-if-aborted.js';
import type { SvgDrawing, SvgReply } from './svg-drawing.js';

/** By the package's name, so that it is the built file also where this one runs from source. */
const entry = join(createRequire(import.meta.url).resolve('@tessera/media'), '../image/svg-process-main.js');
const maxWaiting = 64;
const idleMs = 30_000;

let child: ChildProcess | undefined;
let idleTimer: NodeJS.Timeout | undefined;
let waiting = 0;
let last: Promise<unknown> = Promise.resolve();

function start(): ChildProcess {
  const started = fork(entry, {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  started.once('exit', () => retire(started));
  // Whoever waits for an answer listens too; between two drawings an error means no more than a new process.
  started.on('error', () => retire(started));
  return started;
}

/** Ends a process, whatever it does. The next drawing gets one of its own. */
function retire(worker: ChildProcess): void {
  if (child === worker) child = undefined;
  worker.kill('SIGKILL');
}

/** Keeps the process for the next drawing, but neither for long nor in the way of our own end. */
function rest(worker: ChildProcess): void {
  worker.unref();
  worker.channel?.unref();
  idleTimer = setTimeout(() => retire(worker), idleMs).unref();
}

function exchange(drawing: SvgDrawing, timeoutS: number, signal: AbortSignal | undefined): Promise<SvgReply> {
  clearTimeout(idleTimer);
  child ??= start();
  const worker = child;
  worker.ref();
  worker.channel?.ref();
  return new Promise<SvgReply>((resolve, reject) => {
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      worker.off('message', onMessage).off('exit', onExit).off('error', onError);
      finish();
    };
    const abandon = (finish: () => void) => {
      retire(worker);
      settle(finish);
    };
    const onAbort = () =>
      abandon(() => {
        try {
          throwIfAborted(signal);
        } catch (reason) {
          reject(reason);
        }
      });
    const onMessage = (reply: SvgReply) =>
      settle(() => {
        rest(worker);
        resolve(reply);
      });
    const onError = (cause: Error) =>
      abandon(() => reject(new TesseraError('INTERNAL', 'the SVG renderer could not be started', { cause })));
    const onExit = () =>
      abandon(() => reject(new TesseraError('MEDIA_CORRUPT', 'the SVG renderer broke down on this drawing')));
    const timer = setTimeout(
      () =>
        abandon(() =>
          reject(new TesseraError('MEDIA_TOO_LARGE', `the SVG takes longer to draw than the limit of ${timeoutS} s`)),
        ),
      timeoutS * 1000,
    );
    signal?.addEventListener('abort', onAbort);
    worker.once('message', onMessage).once('exit', onExit).once('error', onError);
    worker.send(drawing, (cause) => {
      if (cause !== null) onError(cause);
    });
  });
}

/**
 * Draws an SVG in a process of its own, one at a time. A few hundred bytes of SVG can keep librsvg busy for
 * hours, and a native call cannot be stopped; a process can.
 * @throws TesseraError MEDIA_TOO_LARGE past the time limit, MEDIA_CORRUPT when the renderer dies of it, QUEUE_FULL when
 *   too many wait, CANCELLED or DEADLINE_EXCEEDED by the signal
 */
export async function askSvgProcess(
  drawing: SvgDrawing,
  options: { readonly timeoutS: number; readonly signal?: AbortSignal },
): Promise<SvgReply> {
  if (waiting >= maxWaiting) {
    throw new TesseraError('QUEUE_FULL', `${maxWaiting} SVG pictures wait to be drawn`, { retryAfterMs: 1000 });
  }
  waiting++;
  const turn = last.then(() => {
    throwIfAborted(options.signal);
    return exchange(drawing, options.timeoutS, options.signal);
  });
  last = turn.catch(() => undefined);
  try {
    return await turn;
  } finally {
    waiting--;
  }
}
