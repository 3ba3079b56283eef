import type { GenerateRequest } from '@tessera/protocol';
import type { ResumePoint } from '../answer/delivered-answer.js';
import type { PreparedRequest } from './prepared-request.js';

/** What of an engine's request hangs on the attempt. */
export interface AttemptFacts {
  /** Its number. */
  readonly attempt: number;
  readonly resume: ResumePoint;
  /** Whether an engine had admitted the request. */
  readonly takenOver: boolean;
  /** Whether the engine is to ask for the media that it lacks. */
  readonly mediaOnDemand: boolean;
  /** Where drawings are sent. */
  readonly drawingsTo: string;
}

/** What an engine is asked, at one attempt. */
export function generateRequest(
  { requestId, client, priority, conversation, items, text, draw }: PreparedRequest,
  { attempt, resume, takenOver, mediaOnDemand, drawingsTo }: AttemptFacts,
): GenerateRequest {
  const { deliveredTokenIds, queuedDrawings, isComplete } = resume;
  return {
    requestId,
    attempt,
    prompt: { $case: 'conversation', value: conversation },
    media: items.map(({ modality, segments, digest }) => ({
      modality,
      segments: [...segments],
      digest: Buffer.from(digest, 'hex'),
    })),
    // A text that has its end gets no further token, whatever this engine would write.
    text: isComplete ? { ...text, maxTokens: deliveredTokenIds.length } : text,
    draw,
    drawingsTo,
    forcedTokenIds: deliveredTokenIds,
    queuedDrawings,
    takenOver,
    cacheScope: client,
    priority,
    client,
    mediaOnDemand,
  };
}
