/**
 * The `count` largest of `values` among `candidates`, largest first, equal ones by index. A heap of the best so far:
 * O(n log count), and no sort of a vocabulary of 150 000.
 */
export function topTokens(values: Float32Array, candidates: readonly number[], count: number): number[] {
  const worse = (a: number, b: number): boolean => {
    const difference = (values[a] as number) - (values[b] as number);
    return difference < 0 || (difference === 0 && a > b);
  };
  // The worst of the best stands at the root.
  const heap: number[] = [];
  const siftDown = (): void => {
    for (let parent = 0; ; ) {
      let child = 2 * parent + 1;
      if (child >= heap.length) return;
      if (child + 1 < heap.length && worse(heap[child + 1] as number, heap[child] as number)) child++;
      if (!worse(heap[child] as number, heap[parent] as number)) return;
      [heap[parent], heap[child]] = [heap[child] as number, heap[parent] as number];
      parent = child;
    }
  };
  for (const candidate of candidates) {
    if (heap.length < count) {
      let child = heap.push(candidate) - 1;
      while (child > 0) {
        const parent = (child - 1) >> 1;
        if (!worse(heap[child] as number, heap[parent] as number)) break;
        [heap[parent], heap[child]] = [heap[child] as number, heap[parent] as number];
        child = parent;
      }
    } else if (count > 0 && worse(heap[0] as number, candidate)) {
      heap[0] = candidate;
      siftDown();
    }
  }
  return heap.sort((a, b) => (worse(a, b) ? 1 : -1));
}
