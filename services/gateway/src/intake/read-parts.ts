import type { MediaPart } from '@tessera/protocol';
import { withinPause } from '@tessera/service';
import { unlessLeaving } from './leaving.js';
import type { MediaIntake } from './media-intake.js';

/**
 * Takes in what a client sends until every item is whole, or its stream ends.
 * @throws TesseraError what the intake refuses; REQUEST_STALLED when the client pauses for longer; the signal's reason,
 *   also where the client leaves
 */
export async function readParts(
  intake: MediaIntake,
  parts: AsyncIterator<MediaPart>,
  pauseMs: number,
  signal: AbortSignal,
): Promise<void> {
  while (!intake.complete) {
    const part = await withinPause(parts.next(), { pauseMs, signal });
    if (part.done === true) {
      await unlessLeaving(signal);
      break;
    }
    intake.add(part.value);
  }
  signal.throwIfAborted();
}
