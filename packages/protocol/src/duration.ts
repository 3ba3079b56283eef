import type { Duration } from './generated/google/protobuf/duration.js';

const nanosPerMs = 1_000_000;

/** A time span for the wire. @param ms milliseconds, not negative; kept to a microsecond */
export function durationOf(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.min(Math.round((ms - seconds * 1000) * 1000) * 1000, 999_999_000) };
}

/** Milliseconds of a time span from the wire; none is 0. */
export function durationMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + duration.nanos / nanosPerMs;
}
