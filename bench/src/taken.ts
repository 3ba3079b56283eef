/** What one call took. */
export interface Taken {
  readonly ms: number;
  /** Of all threads of this process: what others do on the machine changes it little. */
  readonly processorMs: number;
}

export async function timed(run: () => Promise<unknown>): Promise<Taken> {
  const before = process.cpuUsage();
  const startedMs = performance.now();
  await run();
  const ms = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(before);
  return { ms, processorMs: (user + system) / 1000 };
}
