import { type DrawingEvent, type FinishReason, TesseraError } from '@tessera/protocol';

/** Where an engine takes an answer up. */
export interface ResumePoint {
  /** All that the client has: the engine computes them and writes none of them again. */
  readonly deliveredTokenIds: number[];
  /** Drawings whose jobs are not lost. Those that a delivered token asks for beyond them are queued again. */
  readonly queuedDrawings: number;
  /** Whether the text has its end, so that only drawings are left to be made. */
  readonly isComplete: boolean;
}

/** How a text ended. */
export interface TextEnd {
  readonly reason: FinishReason;
  /** Tokens written, over all attempts. */
  readonly tokenCount: number;
}

/** What the client has of an answer, over all attempts: decides what of a further attempt is new. */
export class DeliveredAnswer {
  private readonly tokenIds: number[] = [];
  /** Drawings from 0 to this, exclusive, are queued or made. */
  private queuedDrawings = 0;
  private readonly done = new Set<number>();
  /** By drawing, the sequence number of the event that comes next. */
  private readonly nextEvent = new Map<number, number>();
  /** Drawings of which a part was delivered. */
  private readonly begun = new Set<number>();
  private textEnd: TextEnd | undefined;

  /** How the text ended, once it has. */
  get end(): TextEnd | undefined {
    return this.textEnd;
  }

  /** Drawings delivered whole. */
  get drawings(): number {
    return this.done.size;
  }

  /** Whether a drawing is queued and not delivered. */
  get drawingsDue(): boolean {
    return this.firstDue() < this.queuedDrawings;
  }

  /** An engine goes on after everything that was delivered. */
  resume(): ResumePoint {
    const { queuedDrawings, textEnd } = this;
    return { deliveredTokenIds: [...this.tokenIds], queuedDrawings, isComplete: textEnd !== undefined };
  }

  /**
   * The first drawing that is due and those after it are queued again: their jobs may be lost, and only an engine can
   * make the conditions. It does so while it computes the delivered tokens, none of which is chosen again.
   * @throws TesseraError STAGE_UNAVAILABLE when the client has a part of such a drawing: another making's would not fit
   */
  resumeWithLostDrawings(): ResumePoint {
    if ([...this.begun].some((drawing) => !this.done.has(drawing))) {
      throw new TesseraError('STAGE_UNAVAILABLE', 'NATS lost a drawing of which a part was delivered already');
    }
    this.queuedDrawings = Math.min(this.queuedDrawings, this.firstDue());
    return this.resume();
  }

  takeTokens(tokenIds: readonly number[]): void {
    this.tokenIds.push(...tokenIds);
  }

  takeQueuedDrawing(drawing: number): void {
    this.queuedDrawings = Math.max(this.queuedDrawings, drawing + 1);
  }

  /** Takes the end of the text. Returns whether it is the one that counts: the first, since later attempts write no more. */
  takeEnd(end: TextEnd): boolean {
    const isFirst = this.textEnd === undefined;
    this.textEnd ??= end;
    return isFirst;
  }

  /**
   * Takes an event of a drawing. Returns whether it is new: an attempt reads a drawing's events from the first, and a
   * drawing that is made again repeats them under the same numbers.
   */
  takeDrawingEvent({ key, sequence, event }: DrawingEvent): boolean {
    if (key === undefined || event === undefined || sequence < (this.nextEvent.get(key.item) ?? 0)) return false;
    this.nextEvent.set(key.item, sequence + 1);
    if (event.$case === 'picturePart') {
      this.begun.add(key.item);
      if (event.value.last) this.done.add(key.item);
    }
    return true;
  }

  /** The first drawing that the client does not have whole. */
  private firstDue(): number {
    let drawing = 0;
    while (this.done.has(drawing)) drawing++;
    return drawing;
  }
}
