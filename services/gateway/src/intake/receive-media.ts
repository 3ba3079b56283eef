import type { Bus } from '@tessera/bus';
import type { LinkedAbort } from '@tessera/flow';
import { type MediaPart, quoted, TesseraError } from '@tessera/protocol';
import type { MediaIntake } from './media-intake.js';
import { type MediaModel, type PlannedMedia, planMedia } from './media-plan.js';
import { readParts } from './read-parts.js';

export interface ReceiveMediaOptions {
  /** Absent for a model that takes text only. */
  readonly model: MediaModel | undefined;
  /** Where uploads lie. */
  readonly bus: Pick<Bus, 'findUpload'>;
  readonly limits: { readonly itemBytes: number; readonly mediaPixels: number; readonly pauseMs: number };
}

/**
 * Gets a request's media whole, wherever they are, and plans their tiles.
 * @param stop ends the request: a client that says more after all was said breaks the contract
 * @throws TesseraError of the error table
 */
export async function receiveMedia(
  intake: MediaIntake,
  parts: AsyncIterable<MediaPart>,
  stop: LinkedAbort,
  { model, bus, limits }: ReceiveMediaOptions,
): Promise<PlannedMedia> {
  const { signal } = stop;
  intake.takeInline();
  await intake.takeUploads((digest) => bus.findUpload(digest, signal), signal);
  const incoming = parts[Symbol.asyncIterator]();
  await readParts(intake, incoming, limits.pauseMs, signal);
  if (intake.complete) refuseMore(incoming, stop);
  return await planMedia(intake.finish(), model, { maxBytes: limits.itemBytes, maxPixels: limits.mediaPixels });
}

/** Not awaited: what comes late ends the request, at whatever point it is then. */
function refuseMore(incoming: AsyncIterator<MediaPart>, stop: LinkedAbort): void {
  incoming.next().then(
    ({ done, value }) => {
      if (done === true) return;
      const name = quoted(value.name);
      stop.abort(
        new TesseraError('REQUEST_INVALID', `a part was sent for media ${name} after all media were complete`, {
          field: 'media_part.name',
        }),
      );
    },
    (reason) => {
      // Anything else is the end of the call, which the call's own signal tells better.
      if (reason instanceof TesseraError) stop.abort(reason);
    },
  );
}
