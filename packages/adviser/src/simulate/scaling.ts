/** How fast a HorizontalPodAutoscaler may go in one direction: the largest change that any of the policies allows. */
export interface ScalingPace {
  readonly stabilizationSeconds: number;
  readonly policies: readonly {
    readonly type: 'Percent' | 'Pods';
    readonly value: number;
    readonly periodSeconds: number;
  }[];
}

/**
 * What a stage's replicas follow: of a stage behind a queue its jobs, waiting and in work; of engines the requests that wait
 * for a slot, and the shares of their KV caches that running ones can come to need. All replicas together.
 */
export type Signals = Readonly<Partial<Record<'jobs' | 'waiting' | 'kvUsage', number>>>;

/** How a stage's replicas follow what there is to do. */
export interface Scaling {
  /** 0 only where work that waits can wake the first replica: behind a queue. */
  readonly min: number;
  readonly max: number;
  /** How much of each signal is one replica's; the one that asks for the most replicas counts. */
  readonly targets: Signals;
  /** How often KEDA looks whether there is anything to do while there is no replica. */
  readonly pollSeconds: number;
  /** Without anything to do for so long the last replica goes. */
  readonly cooldownSeconds: number;
  readonly up: ScalingPace;
  readonly down: ScalingPace;
}

/** How often a HorizontalPodAutoscaler looks, and what it takes for no change: Kubernetes' own defaults. */
export const syncSeconds = 15;
const tolerance = 0.1;

interface Change {
  readonly atMs: number;
  readonly by: number;
}

/** KEDA with the HorizontalPodAutoscaler that it keeps, for one stage: looked at from time to time, it says how many there shall be. */
export class Autoscaler {
  /** What was thought right, within the longer of the two windows. */
  #thoughts: { readonly atMs: number; readonly count: number }[] = [];
  #changes: Change[] = [];
  #activeAt = 0;

  constructor(private readonly scaling: Scaling) {}

  /**
   * What KEDA itself decides: from none to some, and back to none.
   * @returns undefined where it leaves that to the other
   */
  activate(nowMs: number, { jobs = 0 }: Signals, replicas: number): number | undefined {
    const { min, cooldownSeconds } = this.scaling;
    if (jobs > 0) this.#activeAt = nowMs;
    if (replicas === 0) return jobs > 0 ? Math.max(1, min) : undefined;
    if (min > 0 || jobs > 0) return undefined;
    return nowMs - this.#activeAt >= cooldownSeconds * 1000 ? 0 : undefined;
  }

  /** What the HorizontalPodAutoscaler decides, where there is a replica. */
  sync(nowMs: number, signals: Signals, replicas: number): number {
    const { min, max, targets, up, down } = this.scaling;
    const wanted = Math.max(
      ...(Object.entries(targets) as [keyof Signals, number][]).map(([name, target]) => {
        const signal = signals[name] ?? 0;
        const ratio = signal / (target * replicas);
        return Math.abs(ratio - 1) <= tolerance ? replicas : Math.ceil(signal / target);
      }),
    );
    this.#thoughts.push({ atMs: nowMs, count: wanted });
    const longest = Math.max(up.stabilizationSeconds, down.stabilizationSeconds) * 1000;
    this.#thoughts = this.#thoughts.filter(({ atMs }) => atMs >= nowMs - longest);
    const within = (seconds: number): number[] =>
      this.#thoughts.filter(({ atMs }) => atMs >= nowMs - seconds * 1000).map(({ count }) => count);
    // No more than was wanted all the time, no less than was wanted at any time.
    const most = Math.min(...within(up.stabilizationSeconds), wanted);
    const least = Math.max(...within(down.stabilizationSeconds), wanted);
    let count = replicas;
    if (most > replicas) count = Math.min(most, this.#limit(nowMs, replicas, up, 1));
    else if (least < replicas) count = Math.max(least, this.#limit(nowMs, replicas, down, -1));
    count = Math.max(Math.max(1, min), Math.min(max, count));
    if (count !== replicas) this.#changes.push({ atMs: nowMs, by: count - replicas });
    return count;
  }

  /** How far the policies let it go. */
  #limit(nowMs: number, replicas: number, { policies }: ScalingPace, sign: 1 | -1): number {
    const longest = Math.max(...policies.map(({ periodSeconds }) => periodSeconds)) * 1000;
    this.#changes = this.#changes.filter(({ atMs }) => atMs > nowMs - Math.max(longest, 1_800_000));
    const limits = policies.map(({ type, value, periodSeconds }) => {
      const since = nowMs - periodSeconds * 1000;
      const changed = this.#changes
        .filter(({ atMs, by }) => atMs > since && Math.sign(by) === sign)
        .reduce((sum, { by }) => sum + by, 0);
      const before = replicas - changed;
      if (type === 'Pods') return before + sign * value;
      return sign > 0 ? Math.ceil(before * (1 + value / 100)) : Math.floor(before * (1 - value / 100));
    });
    return sign > 0 ? Math.max(...limits) : Math.min(...limits);
  }
}
