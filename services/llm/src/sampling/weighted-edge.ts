/** Where a set of the largest values ends. */
export interface Edge {
  /** The least value in the set. */
  readonly value: number;
  /** How many that are equal to it belong to the set. */
  readonly equal: number;
}

/**
 * Finds the smallest set of the largest values whose weights reach `enough`; all of them where they do not. Partitions as
 * quickselect does, so it takes time in proportion to `count` and sorts nothing.
 * @param values changed: their order is lost
 * @param weights of the values; their order goes with that of the values
 */
export function weightedEdge(values: Float64Array, weights: Float64Array, count: number, enough: number): Edge {
  let from = 0;
  let to = count;
  let missing = enough;
  for (;;) {
    const pivot = medianOfThree(values, from, to);
    // Larger ones to the front, equal ones in the middle: from..greater, greater..at, less..to.
    let greater = from;
    let at = from;
    let less = to;
    let weightOfGreater = 0;
    let weightOfEqual = 0;
    while (at < less) {
      const value = values[at] as number;
      if (value > pivot) {
        weightOfGreater += weights[at] as number;
        swap(values, weights, greater++, at++);
      } else if (value < pivot) {
        swap(values, weights, at, --less);
      } else {
        weightOfEqual += weights[at++] as number;
      }
    }
    if (greater > from && weightOfGreater >= missing) {
      to = greater;
      continue;
    }
    const isLast = less === to;
    if (weightOfGreater + weightOfEqual >= missing || isLast) {
      // Equal values have equal weights.
      const each = weights[greater] as number;
      const equal = less - greater;
      const needed = each > 0 ? Math.ceil((missing - weightOfGreater) / each) : equal;
      return { value: pivot, equal: Math.min(equal, Math.max(1, needed)) };
    }
    missing -= weightOfGreater + weightOfEqual;
    from = less;
  }
}

function medianOfThree(values: Float64Array, from: number, to: number): number {
  const a = values[from] as number;
  const b = values[(from + to) >> 1] as number;
  const c = values[to - 1] as number;
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

function swap(values: Float64Array, weights: Float64Array, a: number, b: number): void {
  const value = values[a] as number;
  values[a] = values[b] as number;
  values[b] = value;
  const weight = weights[a] as number;
  weights[a] = weights[b] as number;
  weights[b] = weight;
}
