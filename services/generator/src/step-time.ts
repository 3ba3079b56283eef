/** Weight of the newest step. */
const weight = 0.2;
/** A step says how long others take for as long as this, in milliseconds: the company may have left. */
const freshMs = 5000;

/** How long a denoising step takes: as the last ones did, in their company; some time later, as the fastest did. */
export class StepTime {
  private meanMs: number | undefined;
  private leastMs = 0;
  private seenAtMs = 0;

  /** A step was computed, for however many drawings. */
  took(stepMs: number, nowMs = performance.now()): void {
    const recent = nowMs - this.seenAtMs <= freshMs ? this.meanMs : undefined;
    this.meanMs = recent === undefined ? stepMs : recent + weight * (stepMs - recent);
    this.leastMs = this.leastMs === 0 ? stepMs : Math.min(this.leastMs, stepMs);
    this.seenAtMs = nowMs;
  }

  /** Milliseconds that so many steps take; 0 while none is known. */
  expectedMs(steps: number, nowMs = performance.now()): number {
    const isFresh = nowMs - this.seenAtMs <= freshMs;
    return steps * ((isFresh ? this.meanMs : undefined) ?? this.leastMs);
  }
}
