import type { TesseraError } from '@tessera/protocol';

/** How long, and of how many, a failure is remembered: jobs for the other tiles of an item come soon, or not at all. */
const rememberedMs = 60_000;
const maxFailures = 1024;

/** What failed a short while ago, and how. */
export class RecentFailures {
  private readonly failures = new Map<string, { readonly error: TesseraError; readonly untilMs: number }>();

  /** The oldest is forgotten where there are too many. */
  add(key: string, error: TesseraError): void {
    const nowMs = Date.now();
    for (const [old, { untilMs }] of this.failures) {
      // In the order of their times.
      if (untilMs > nowMs && this.failures.size < maxFailures) break;
      this.failures.delete(old);
    }
    this.failures.set(key, { error, untilMs: nowMs + rememberedMs });
  }

  of(key: string): TesseraError | undefined {
    const failure = this.failures.get(key);
    return failure !== undefined && Date.now() < failure.untilMs ? failure.error : undefined;
  }
}
