/**
 * The first process of a container gets no signal that it has no handler for, so that one which is told to end while it still
 * loads its code would never hear of it, and serve on until it is killed. A service's main imports this before anything else:
 * until `runService` listens, who is told to end ends at once, since nothing has begun.
 */
const end = (): never => process.exit(0);
const signals = ['SIGTERM', 'SIGINT'] as const;
for (const signal of signals) process.once(signal, end);

/** From here on somebody else listens to the signals. */
export function leaveSignals(): void {
  for (const signal of signals) process.off(signal, end);
}
