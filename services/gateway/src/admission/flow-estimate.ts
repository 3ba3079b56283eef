/** So many answers, or what came in so long a time, make a rate. */
const enoughAnswers = 8;
const enoughMs = 1000;
/** Without any answer for so long the rate is known to have fallen. */
const stallMs = 5000;
/** What was seen so long ago counts half. */
const halfMs = 2000;

/**
 * How long requests take that compete for slots: as many as are under way, at the rate at which answers become complete
 * while every slot is taken. What is given up too late takes slots and completes nothing, so it shows here, where the
 * times of the answers that came do not know of it.
 */
export class FlowEstimate {
  private underWay = 0;
  /** Answers a millisecond. */
  private rate: number | undefined;
  private fromMs: number | undefined;
  private answers = 0;

  began(): void {
    this.underWay++;
  }

  /** @param isFull whether every slot is taken */
  ended(isComplete: boolean, isFull: boolean, nowMs = performance.now()): void {
    this.underWay--;
    if (isComplete && this.fromMs !== undefined) this.answers++;
    this.look(isFull, nowMs);
  }

  /** Milliseconds until one more would be complete; 0 while slots are free, or nothing is known. */
  expectedMs(isFull: boolean, nowMs = performance.now()): number {
    this.look(isFull, nowMs);
    return isFull && this.rate !== undefined ? (this.underWay + 1) / this.rate : 0;
  }

  private look(isFull: boolean, nowMs: number): void {
    if (!isFull) {
      this.fromMs = undefined;
      return;
    }
    if (this.fromMs === undefined) {
      this.fromMs = nowMs;
      this.answers = 0;
      return;
    }
    const passedMs = nowMs - this.fromMs;
    if (passedMs <= 0) return;
    if (this.answers === 0) {
      if (passedMs > stallMs && this.rate !== undefined) this.rate = Math.min(this.rate, this.underWay / passedMs);
      return;
    }
    if (passedMs < enoughMs || (this.answers < enoughAnswers && passedMs < stallMs)) return;
    const seen = this.answers / passedMs;
    this.rate = this.rate === undefined ? seen : seen + (this.rate - seen) * 0.5 ** (passedMs / halfMs);
    this.fromMs = nowMs;
    this.answers = 0;
  }
}
