import { busyRatio, busySecondsTotal, type Metrics } from '@tessera/service';
import { shardInfo } from '../metric-declarations.js';

const windowMs = 5000;

/** Which shard a process is. */
export interface ShardIdentity {
  readonly role: 'experts' | 'layers';
  /** Its group of experts, or the number of its piece of the layers. */
  readonly part: string;
}

/** Says what a shard holds and how much of its time it computes, by which it is scaled. */
export class ShardMeter {
  readonly #timer: NodeJS.Timeout;
  #busyMs: number;
  #sinceMs = performance.now();

  /** @param busyMs how long it has been busy so far */
  constructor(metrics: Metrics, { role, part }: ShardIdentity, busyMs: () => number) {
    metrics.gauge(shardInfo).set({ role, part }, 1);
    this.#busyMs = busyMs();
    const ratio = metrics.gauge(busyRatio);
    const seconds = metrics.counter(busySecondsTotal);
    ratio.set({ stage: role }, 0);
    seconds.inc({ stage: role }, 0);
    this.#timer = setInterval(() => {
      const [nowMs, busyNowMs] = [performance.now(), busyMs()];
      const grownMs = Math.max(0, busyNowMs - this.#busyMs);
      seconds.inc({ stage: role }, grownMs / 1000);
      ratio.set({ stage: role }, Math.min(1, grownMs / Math.max(1, nowMs - this.#sinceMs)));
      this.#busyMs = busyNowMs;
      this.#sinceMs = nowMs;
    }, windowMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
