/** What a queue is seen to hold. */
export interface QueueSample {
  /** Jobs that wait for a worker. */
  readonly waiting: number;
  /** Jobs that workers hold. */
  readonly running: number;
  /** Jobs that workers have settled since the queue was made, over the whole fleet. */
  readonly settled: number;
}

interface Seen extends QueueSample {
  readonly atMs: number;
}

/**
 * Workers that compute together settle together: a rate is taken from as many jobs as fill every slot so many times, or
 * from those of a while.
 */
const enoughRounds = 2;
const enoughMs = 20_000;
/** Weight of the newest rate. */
const weight = 0.5;

/**
 * How long work takes in one stage's queue. What leaves the queue while jobs wait in it is what the fleet can do; while
 * none waits, there is room. So nothing is assumed of workers: not how many there are, nor what they compute together.
 */
export class QueueEstimate {
  /** Jobs a millisecond, of the whole fleet. */
  private rate: number | undefined;
  private slots = Number.POSITIVE_INFINITY;
  private from: Seen | undefined;
  private last: Seen | undefined;
  /** Jobs that were sent since the last sample, which does not know of them. */
  private sentSince = 0;

  /** Takes in what the queue holds now. */
  sampled(sample: QueueSample, nowMs = performance.now()): void {
    const seen = { ...sample, atMs: nowMs };
    const { from, last } = this;
    this.last = seen;
    this.sentSince = 0;
    if (sample.waiting === 0) {
      this.from = undefined;
      return;
    }
    // While jobs wait, every slot of the fleet has one.
    this.slots = sample.running;
    if (from === undefined || last === undefined || sample.settled < last.settled) {
      // Only from here on is it known that there was something to do; a server that was started again counts anew.
      this.from = seen;
      return;
    }
    const jobs = sample.settled - from.settled;
    const passedMs = nowMs - from.atMs;
    if (jobs === 0) {
      // All that the workers hold may just be about to be done, and is no more than that.
      if (this.rate !== undefined) this.rate = Math.min(this.rate, sample.running / passedMs);
      return;
    }
    if (jobs < enoughRounds * sample.running && passedMs < enoughMs) return;
    const seenRate = jobs / passedMs;
    this.rate = this.rate === undefined ? seenRate : this.rate + weight * (seenRate - this.rate);
    this.from = seen;
  }

  /** Jobs went to the queue, or will for certain. */
  sent(jobs = 1): void {
    this.sentSince += jobs;
  }

  /**
   * Milliseconds until jobs that were sent now would be done; 0 where none would wait, or as long as nothing is known.
   * @param jobs how many, the last of which counts
   */
  expectedMs(jobs = 1, nowMs = performance.now()): number {
    const { last, rate, slots, sentSince } = this;
    if (last === undefined || rate === undefined) return 0;
    const doneSince = rate * (nowMs - last.atMs);
    const held = Math.max(0, last.waiting + last.running + sentSince + jobs - doneSince);
    return held <= slots ? 0 : held / rate;
  }
}
