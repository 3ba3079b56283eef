/** Weight of the newest step. */
const weight = 0.2;
/** A step says how long others take for as long as this, in milliseconds: the machine may have had other work. */
const freshMs = 5000;

interface Seen {
  meanMs: number;
  atMs: number;
}

/** How long a denoising step takes, which depends on how many drawings it advances. */
export class StepTime {
  /** By the number of drawings. */
  private readonly seen = new Map<number, Seen>();
  private leastMs = 0;

  /** A step was computed for so many drawings. */
  took(stepMs: number, drawings: number, nowMs = performance.now()): void {
    const recent = this.recent(drawings, nowMs);
    const meanMs = recent === undefined ? stepMs : recent + weight * (stepMs - recent);
    this.seen.set(drawings, { meanMs, atMs: nowMs });
    this.leastMs = this.leastMs === 0 ? stepMs : Math.min(this.leastMs, stepMs);
  }

  /** Milliseconds that so many steps surely take: as the fastest did. 0 while none is known. */
  leastMsOf(steps: number): number {
    return steps * this.leastMs;
  }

  /** Milliseconds that so many steps take in such company now: as the last ones did, or else as the fastest. */
  expectedMs(steps: number, drawings: number, nowMs = performance.now()): number {
    return steps * (this.recent(drawings, nowMs) ?? this.leastMs);
  }

  private recent(drawings: number, nowMs: number): number | undefined {
    const seen = this.seen.get(drawings);
    return seen !== undefined && nowMs - seen.atMs <= freshMs ? seen.meanMs : undefined;
  }
}
