/** Weight of the newest request. */
const weight = 0.1;
const likelyFrom = 0.5;

/**
 * How many requests come to a drawing. The model decides that in the midst of an answer; whether the caller said how to
 * draw is only a hint, which is worth what it was worth before.
 */
export class DrawingShare {
  private readonly shares = { asked: 1, unasked: 0 };

  /** @param asked whether the request said how to draw */
  isLikely(asked: boolean): boolean {
    return this.shares[keyOf(asked)] >= likelyFrom;
  }

  /** A request's text was written to its end. */
  ended(asked: boolean, drew: boolean): void {
    const key = keyOf(asked);
    this.shares[key] += weight * (Number(drew) - this.shares[key]);
  }
}

function keyOf(asked: boolean): 'asked' | 'unasked' {
  return asked ? 'asked' : 'unasked';
}
