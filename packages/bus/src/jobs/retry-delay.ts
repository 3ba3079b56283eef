/** Doublings after which the wait grows no more. */
const maxDoublings = 4;

/** Milliseconds before a job that failed is delivered again, after so many deliveries. */
export function retryDelay(firstMs: number, deliveries: number): number {
  return firstMs * 2 ** Math.min(deliveries - 1, maxDoublings);
}
