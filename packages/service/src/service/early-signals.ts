const end = (): never => process.exit(0);
const signals = ['SIGTERM', 'SIGINT'] as const;

/** Until `leaveSignals`, a process that is told to end ends at once. Only a service's own main wants that: see early-end.ts. */
export function endAtSignals(): void {
  for (const signal of signals) process.once(signal, end);
}

/** From here on somebody else listens to the signals. */
export function leaveSignals(): void {
  for (const signal of signals) process.off(signal, end);
}
