import { createHash } from 'node:crypto';
import { throwIfAborted, unlessAborted } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { justWait, type WhileWaiting } from '../while-waiting.js';
import { RecentFailures } from './recent-failures.js';
import type { SvgDrawing } from './svg-drawing.js';
import { SvgProcess } from './svg-process.js';

export interface SvgLaneOptions {
  /** Drawings that are made at one time, each in a process of its own. */
  readonly processes: number;
  /** Drawings that wait for a process; one more is refused. */
  readonly maxWaiting: number;
}

/** For callers that draw one now and then. */
export const defaultSvgLane: SvgLaneOptions = { processes: 2, maxWaiting: 64 };

export interface DrawOptions {
  /** The time until a drawing is given up, whatever it computes. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly whileWaiting?: WhileWaiting;
}

/** How long a process is kept for the next drawing. */
const idleMs = 30_000;

/** A drawing that is made, and those who want it. */
interface Flight {
  /** Absent where there was a place at once. */
  readonly begun: Promise<void> | undefined;
  readonly done: Promise<Uint8Array>;
  readonly abort: AbortController;
  users: number;
}

/**
 * Draws SVGs in processes, a few at a time. Whoever wants what is being drawn gets the same drawing, and a drawing that
 * failed is not tried again for a while: a slow one costs its own time once, and keeps no more than one process.
 */
export class SvgLane {
  private readonly flights = new Map<string, Flight>();
  private readonly failures = new RecentFailures();
  private readonly resting = new Map<SvgProcess, NodeJS.Timeout>();
  private waiting: (() => void)[] = [];
  private drawing = 0;

  constructor(private readonly options: SvgLaneOptions = defaultSvgLane) {}

  /** Drawings in work. */
  get active(): number {
    return this.drawing;
  }

  /**
   * @returns 8-bit RGB, row by row; shared with others who asked for the same, so not to be written to
   * @throws TesseraError what `SvgProcess.draw` throws; QUEUE_FULL when too many wait
   */
  async draw(drawing: SvgDrawing, { timeoutMs, signal, whileWaiting = justWait }: DrawOptions): Promise<Uint8Array> {
    throwIfAborted(signal);
    const key = keyOf(drawing);
    const failure = this.failures.of(key);
    if (failure !== undefined) throw failure;
    const joined = this.flights.get(key);
    const flight = joined ?? this.begin(key, drawing, timeoutMs);
    flight.users++;
    try {
      // Who joins waits for another's work from beginning to end.
      if (joined !== undefined) return await whileWaiting(unlessAborted(flight.done, signal));
      if (flight.begun !== undefined) await whileWaiting(unlessAborted(flight.begun, signal));
      return await unlessAborted(flight.done, signal);
    } finally {
      flight.users--;
      if (flight.users === 0) {
        if (this.flights.get(key) === flight) this.flights.delete(key);
        flight.abort.abort();
      }
    }
  }

  /** Ends the processes that rest; one that draws ends with those who wait for it. */
  close(): void {
    for (const [process, timer] of this.resting) {
      clearTimeout(timer);
      process.end();
    }
    this.resting.clear();
  }

  private begin(key: string, drawing: SvgDrawing, timeoutMs: number): Flight {
    if (this.waiting.length >= this.options.maxWaiting) {
      throw new TesseraError('QUEUE_FULL', `as many SVG pictures wait to be drawn as may: ${this.waiting.length}`, {
        retryAfterMs: 1000,
      });
    }
    const abort = new AbortController();
    const begun = this.place(abort.signal);
    const work = () => this.work(key, drawing, timeoutMs, abort.signal);
    const done = begun === undefined ? work() : begun.then(work);
    // Those who wait hear of it; there may be none left.
    done.catch(() => undefined);
    const flight: Flight = { begun, done, abort, users: 0 };
    this.flights.set(key, flight);
    const landed = () => {
      if (this.flights.get(key) === flight) this.flights.delete(key);
    };
    done.then(landed, landed);
    return flight;
  }

  /** Takes a place to draw in; resolves when it is there, if it is not at once. `work` gives it on. */
  private place(signal: AbortSignal): Promise<void> | undefined {
    if (this.drawing < this.options.processes) {
      this.drawing++;
      return undefined;
    }
    return new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.waiting = this.waiting.filter((other) => other !== enter);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.waiting.push(enter);
    });
  }

  private async work(key: string, drawing: SvgDrawing, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array> {
    try {
      throwIfAborted(signal);
      const process = this.takeProcess();
      try {
        return await process.draw(drawing, timeoutMs, signal);
      } finally {
        if (process.isWorn) process.end();
        else if (!process.hasEnded) this.keepProcess(process);
      }
    } catch (reason) {
      const error = TesseraError.from(reason);
      if (error.code === 'MEDIA_TOO_LARGE' || error.code === 'MEDIA_CORRUPT') this.failures.add(key, error);
      throw error;
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.drawing--;
      else next();
    }
  }

  private takeProcess(): SvgProcess {
    for (const [process, timer] of this.resting) {
      clearTimeout(timer);
      this.resting.delete(process);
      if (!process.hasEnded) return process;
    }
    return new SvgProcess();
  }

  private keepProcess(process: SvgProcess): void {
    process.rest();
    const retire = () => {
      this.resting.delete(process);
      process.end();
    };
    this.resting.set(process, setTimeout(retire, idleMs).unref());
  }
}

/** Drawings of one key are the same to the last pixel, and fail alike. */
function keyOf({ bytes, ...how }: SvgDrawing): string {
  return createHash('sha256').update(JSON.stringify(how)).update(bytes).digest('base64');
}
