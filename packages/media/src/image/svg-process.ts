import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { throwIfAborted } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import type { SvgDrawing, SvgReply } from './svg-drawing.js';

/** By the package's name, so that it is the built file also where this one runs from source. */
const entry = join(createRequire(import.meta.url).resolve('@tessera/media'), '../image/svg-process-main.js');
/** How long a process may take until it begins; only a machine in trouble needs longer. */
const startMs = 40_000;
/** Its memory is counted against the limit of each drawing, and may only have grown with those before. */
const maxDrawings = 100;

/**
 * A process that draws SVGs, one after the other. A few hundred bytes of SVG can keep librsvg busy for hours, and a
 * native call cannot be stopped; a process can.
 */
export class SvgProcess {
  private readonly child: ChildProcess;
  private ended = false;
  private drawings = 0;

  constructor() {
    this.child = fork(entry, {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.child.once('exit', () => this.end());
    // Whoever waits for an answer listens too; between two drawings an error means no more than a new process.
    this.child.on('error', () => this.end());
  }

  get hasEnded(): boolean {
    return this.ended;
  }

  /** Whether the next drawing should have another process. */
  get isWorn(): boolean {
    return this.drawings >= maxDrawings;
  }

  /** Ends it, whatever it does. */
  end(): void {
    this.ended = true;
    this.child.kill('SIGKILL');
  }

  /** Until the next drawing it keeps nobody from ending. */
  rest(): void {
    this.child.unref();
    this.child.channel?.unref();
  }

  /**
   * Draws; ends the process when it takes too much, or the signal aborts.
   * @param timeoutMs until when there must be an answer, whatever the machine does
   * @returns 8-bit RGB, row by row
   * @throws TesseraError MEDIA_CORRUPT when it is no well-formed drawing or the renderer dies of it, MEDIA_TOO_LARGE over
   *   a limit, STAGE_UNAVAILABLE past the timeout, INTERNAL when the process does not start, CANCELLED or
   *   DEADLINE_EXCEEDED by the signal
   */
  draw(drawing: SvgDrawing, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array> {
    const { child } = this;
    this.drawings++;
    child.ref();
    child.channel?.ref();
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        child.off('message', onMessage).off('exit', onExit).off('error', onError);
        finish();
      };
      const abandon = (reason: unknown) => {
        this.end();
        settle(() => reject(reason));
      };
      const onAbort = () => {
        try {
          throwIfAborted(signal);
        } catch (reason) {
          abandon(reason);
        }
      };
      const onMessage = (reply: SvgReply) => {
        if ('begun' in reply) {
          clearTimeout(timer);
          timer = setTimeout(() => abandon(tooBusy(timeoutMs, drawing)), timeoutMs);
        } else if ('over' in reply) {
          abandon(tooLarge(overWords(reply.over, drawing)));
        } else if ('failure' in reply) {
          const cause = new Error(reply.failure);
          settle(() => reject(new TesseraError('MEDIA_CORRUPT', 'the SVG picture is cut or damaged', { cause })));
        } else {
          settle(() => resolve(reply.data));
        }
      };
      const onError = (cause: Error) =>
        abandon(new TesseraError('INTERNAL', 'the SVG renderer could not be started', { cause }));
      const onExit = () => abandon(new TesseraError('MEDIA_CORRUPT', 'the SVG renderer broke down on this drawing'));
      let timer = setTimeout(() => onError(new Error(`it said nothing for ${startMs} ms`)), startMs);
      signal.addEventListener('abort', onAbort);
      child.on('message', onMessage).once('exit', onExit).once('error', onError);
      child.send(drawing, (cause) => {
        if (cause !== null) onError(cause);
      });
      onAbort();
    });
  }
}

function tooLarge(words: string): TesseraError {
  return new TesseraError('MEDIA_TOO_LARGE', `the SVG takes ${words}; simplify it, or send it as PNG`);
}

/** Not the drawing's fault: at another time, or elsewhere, it may be drawn. */
function tooBusy(timeoutMs: number, { maxCpuMs }: SvgDrawing): TesseraError {
  const why = `it had less than ${maxCpuMs} ms of computing in that time, so the machine has too much else to do`;
  return new TesseraError('STAGE_UNAVAILABLE', `the SVG was not drawn within ${timeoutMs} ms; ${why}`);
}

function overWords(over: 'cpu' | 'memory', { maxCpuMs, maxMemoryBytes }: SvgDrawing): string {
  return over === 'cpu'
    ? `more computing to draw than the limit of ${maxCpuMs} ms`
    : `more memory to draw than the limit of ${maxMemoryBytes} bytes`;
}
