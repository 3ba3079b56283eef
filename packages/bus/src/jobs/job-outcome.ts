/** How a delivered job ended at this worker. */
export type JobOutcome = 'done' | 'failed' | 'retried' | 'cancelled' | 'late' | 'exhausted';
