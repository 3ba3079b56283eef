/** Weight of the newest value: the last ten or so count. */
const weight = 0.2;

/** A running mean that follows what changes. */
export class Mean {
  private current: number | undefined;

  /** Undefined before the first value. */
  get value(): number | undefined {
    return this.current;
  }

  add(value: number): void {
    this.current = this.current === undefined ? value : this.current + weight * (value - this.current);
  }
}
