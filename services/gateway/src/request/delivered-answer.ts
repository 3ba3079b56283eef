import { type MediaEvent, TesseraError } from '@tessera/protocol';

/** Where an engine takes an answer up. */
export interface ResumePoint {
  readonly deliveredTokenIds: number[];
  readonly queuedDrawings: number;
}

/** What the client has of an answer, over all attempts: decides what of a further attempt is new. */
export class DeliveredAnswer {
  private readonly tokenIds: number[] = [];
  /** By drawing, how many tokens were delivered when it was queued: the one that asks for it comes next. */
  private readonly queuedAt: number[] = [];
  private readonly done = new Set<number>();
  /** By drawing, the sequence number of the event that comes next. */
  private readonly nextEvent = new Map<number, number>();
  /** Drawings of which a part was delivered. */
  private readonly begun = new Set<number>();
  /** How many of the delivered tokens the engine has written (again) in this attempt. */
  private written = 0;

  /** Drawings delivered whole. */
  get drawings(): number {
    return this.done.size;
  }

  /** Whether a drawing is queued and not delivered. */
  get drawingsDue(): boolean {
    return this.done.size < this.queuedAt.length;
  }

  /** An engine goes on after everything that was delivered. */
  resume(): ResumePoint {
    this.written = this.tokenIds.length;
    return { deliveredTokenIds: [...this.tokenIds], queuedDrawings: this.queuedAt.length };
  }

  /**
   * An engine goes back to the first drawing that is due, and queues it and those after it again: its job may be lost, and
   * only an engine can make the condition. The tokens that it writes again are known.
   * @throws TesseraError STAGE_UNAVAILABLE when the client has a part of such a drawing: another making's would not fit
   */
  resumeBeforeDrawing(): ResumePoint {
    const first = this.queuedAt.findIndex((_, drawing) => !this.done.has(drawing));
    const at = this.queuedAt[first];
    if (at === undefined) return this.resume();
    if ([...this.begun].some((drawing) => !this.done.has(drawing))) {
      throw new TesseraError('STAGE_UNAVAILABLE', 'NATS lost a drawing of which a part was delivered already');
    }
    this.written = at;
    return { deliveredTokenIds: this.tokenIds.slice(0, at), queuedDrawings: first };
  }

  /**
   * Takes tokens from the engine. Returns whether they are new.
   * @throws TesseraError INTERNAL when the engine writes other tokens than it had written
   */
  takeTokens(tokenIds: readonly number[]): boolean {
    const known = this.tokenIds.slice(this.written, this.written + tokenIds.length);
    if (known.length === 0) {
      this.tokenIds.push(...tokenIds);
      this.written = this.tokenIds.length;
      return true;
    }
    if (known.length !== tokenIds.length || known.some((id, index) => id !== tokenIds[index])) {
      throw new TesseraError('INTERNAL', 'an engine that wrote an answer again wrote other tokens');
    }
    this.written += tokenIds.length;
    return false;
  }

  takeQueuedDrawing(drawing: number): void {
    this.queuedAt[drawing] ??= this.written;
  }

  /**
   * Takes an event of a drawing. Returns whether it is new: an attempt reads a drawing's events from the first, and a
   * drawing that is made again repeats them under the same numbers.
   */
  takeDrawingEvent({ key, sequence, event }: MediaEvent): boolean {
    if (key === undefined || event === undefined || sequence < (this.nextEvent.get(key.item) ?? 0)) return false;
    this.nextEvent.set(key.item, sequence + 1);
    if (event.$case === 'picturePart') {
      this.begun.add(key.item);
      if (event.value.last) this.done.add(key.item);
    }
    return true;
  }
}
