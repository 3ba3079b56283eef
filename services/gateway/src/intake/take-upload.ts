import type { Bus } from '@tessera/bus';
import { type MediaLimits, probeMedia } from '@tessera/media';
import {
  ChatStart,
  type Media,
  type MediaPart,
  Modality,
  refuseUnbuilt,
  TesseraError,
  type UploadResponse,
  unbuiltRequestFields,
} from '@tessera/protocol';
import type { UploadClaim } from '../admission/upload-shares.js';
import { checkMedia } from '../conversation/check-conversation.js';
import { type ByteBudget, type IntakeLimits, MediaIntake } from './media-intake.js';
import { checkMimeType } from './media-plan.js';
import { readParts } from './read-parts.js';

export interface UploadDependencies {
  readonly bus: Bus;
  readonly budget: ByteBudget;
  /** Takes room among what the client has uploaded. @throws TesseraError QUEUE_FULL, MEDIA_TOO_LARGE */
  readonly claim: (upload: { readonly digest: string; readonly bytes: number }) => UploadClaim;
  readonly limits: IntakeLimits & Pick<MediaLimits, 'maxPixels'> & { readonly pauseMs: number };
}

/** An upload has one item: the checks know it as the first of a list, its caller as the only one. */
function aboutOne(reason: unknown): TesseraError {
  const error = TesseraError.from(reason);
  const { code, message, options } = error;
  const { field } = options;
  if (field === undefined) return error;
  const said = (text: string): string => text.replace(/^media\[0\]/, 'media');
  return new TesseraError(code, said(message), { ...options, field: said(field) });
}

/**
 * Takes one media item in, sees from its header that it can be shown, and keeps it for later requests. Fields are those of
 * UploadStart.
 * @throws TesseraError what a request with the item would be refused for; QUEUE_FULL when there is no room for it
 */
export async function takeUpload(
  start: Media,
  parts: AsyncIterator<MediaPart>,
  { signal, deadlineMs }: { readonly signal: AbortSignal; readonly deadlineMs: number },
  { bus, budget, claim, limits }: UploadDependencies,
): Promise<UploadResponse> {
  const intake = new MediaIntake([start], limits, budget);
  try {
    refuseUnbuilt(ChatStart.fromPartial({ media: [start] }), unbuiltRequestFields);
    checkMedia([start], { mediaItems: 1, itemBytes: limits.itemBytes });
    if (start.source?.$case !== 'parts') {
      const field = `media[0].${start.source?.$case ?? 'parts'}`;
      throw TesseraError.invalidField(field, 'is not how an upload comes: declare parts, and let them follow');
    }
    await readParts(intake, parts, limits.pauseMs, signal);
    const [received] = intake.finish();
    if (received === undefined) throw new TesseraError('INTERNAL', 'an upload without an item');
    const { bytes, digest } = received;
    const header = probeMedia(bytes, { maxBytes: limits.itemBytes, maxPixels: limits.maxPixels });
    const info = await header.catch((reason: unknown) => {
      throw TesseraError.from(reason).inField('media');
    });
    const mimeType = checkMimeType(start.mimeType, info.format, 'media.mime_type');
    const modality = Modality.IMAGE;
    using room = claim({ digest, bytes: bytes.length });
    const expiresAtMs = await bus.upload({ bytes, digest, modality, mimeType }, { deadlineMs, signal });
    room.keep(expiresAtMs);
    return {
      digest: `sha256:${digest}`,
      sizeBytes: BigInt(bytes.length),
      modality,
      mimeType,
      expireTime: new Date(expiresAtMs),
    };
  } catch (reason) {
    signal.throwIfAborted();
    throw aboutOne(reason);
  } finally {
    intake.release();
  }
}
