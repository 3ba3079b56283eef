import { Mean } from './mean.js';

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

/** What a job that is done says of its way. */
export interface DoneJob {
  readonly queueMs: number;
  readonly busyMs: number;
}

/**
 * Workers that compute together settle together: a rate is taken from as many jobs as they hold, so many times over, or
 * from those of a while.
 */
const enoughRounds = 2;
const enoughMs = 20_000;
/** Weight of the newest rate. */
const weight = 0.5;
/** Jobs that wait for so many times what they take, with a worker or before, have a stage that cannot keep up. */
const busyWaits = 0.5;

/**
 * How long work takes in one stage's queue. What is settled while jobs have to wait is what the fleet can do; it says
 * nothing while they need not. So nothing is assumed of workers: not how many there are, nor what they compute together.
 */
export class QueueEstimate {
  /** Jobs a millisecond, of the whole fleet when it has enough to do. */
  private rate: number | undefined;
  private readonly waits = new Mean();
  private from: Seen | undefined;
  private last: Seen | undefined;
  /** Jobs that were sent since the last sample, which does not know of them. */
  private sentSince = 0;
  private isDeserted = false;

  /** Takes in what the queue holds now. */
  sampled(sample: QueueSample, nowMs = performance.now()): void {
    const seen = { ...sample, atMs: nowMs };
    const { from, last } = this;
    this.last = seen;
    this.sentSince = 0;
    this.isDeserted = false;
    if (!this.isBusy(sample)) {
      this.from = undefined;
      return;
    }
    if (from === undefined || last === undefined || sample.settled < last.settled) {
      // Only from here on is it known that there was enough to do; a server that was started again counts anew.
      this.from = seen;
      return;
    }
    const jobs = sample.settled - from.settled;
    const passedMs = nowMs - from.atMs;
    if (passedMs <= 0) return;
    if (jobs === 0) {
      // That jobs wait and none is taken says that nobody is there, not that somebody is slow.
      if (sample.running === 0) this.from = seen;
      // All that the workers hold may just be about to be done, and is no more than that.
      else if (this.rate !== undefined) this.rate = Math.min(this.rate, sample.running / passedMs);
      return;
    }
    if (jobs < enoughRounds * sample.running && passedMs < enoughMs) return;
    const seenRate = jobs / passedMs;
    this.rate = this.rate === undefined ? seenRate : this.rate + weight * (seenRate - this.rate);
    this.from = seen;
  }

  /**
   * Nobody takes the queue's jobs. How long that lasts says nothing of what a fleet can do: what was known of it stays, and
   * is learnt anew from whoever comes.
   */
  deserted(sample: QueueSample, nowMs = performance.now()): void {
    this.last = { ...sample, atMs: nowMs };
    this.sentSince = 0;
    this.from = undefined;
    this.isDeserted = true;
  }

  /** Jobs went to the queue, or will for certain. */
  sent(jobs = 1): void {
    this.sentSince += jobs;
  }

  /** One of this gateway's jobs is done. */
  done({ queueMs, busyMs }: DoneJob): void {
    this.waits.add(queueMs / Math.max(1, busyMs));
  }

  /**
   * Milliseconds until jobs that were sent now would be done, at the least; 0 as long as nothing is known. While nobody is
   * there it is what those would take who were: that they come is for others to see to.
   * @param jobs how many, the last of which counts
   */
  expectedMs(jobs = 1, nowMs = performance.now()): number {
    const { last, rate, sentSince } = this;
    if (last === undefined || rate === undefined) return 0;
    const doneSince = this.isDeserted ? 0 : rate * (nowMs - last.atMs);
    const before = Math.max(0, last.waiting + last.running + sentSince - doneSince);
    return (before + jobs) / rate;
  }

  /** Workers hold more than they compute: that none waits in the queue does not say that none waits. */
  private isBusy({ waiting, running }: QueueSample): boolean {
    return waiting > 0 || (running > 0 && (this.waits.value ?? 0) >= busyWaits);
  }
}
