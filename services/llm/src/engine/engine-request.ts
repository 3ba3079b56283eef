import type { BundleManifest } from '@tessera/bundle';
import { type GenerateRequest, Modality, TesseraError } from '@tessera/protocol';
import { contentKeys } from '../prompt/content-keys.js';
import type { Prompt } from '../prompt/prompt.js';
import type { PromptBuilder } from '../prompt/prompt-builder.js';
import { tokenPrompt } from '../prompt/token-prompt.js';
import type { EngineRequest } from './engine.js';
import { textOptions } from './text-options.js';

/** Request ids become words of NATS subjects. */
const requestIdPattern = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Checks a request and builds its prompt.
 * @param deadlineMs Unix milliseconds
 * @throws TesseraError REQUEST_INVALID naming the field, and what the prompt builder throws
 */
export function engineRequest(
  request: GenerateRequest,
  builder: PromptBuilder,
  manifest: Pick<BundleManifest, 'llm' | 'generation'>,
  deadlineMs: number,
): EngineRequest {
  const { requestId, attempt, forcedTokenIds, queuedDrawings, text } = request;
  if (!requestIdPattern.test(requestId)) {
    throw invalid('request_id', 'use 1 to 64 letters, digits, _ or -');
  }
  const { vocabSize } = manifest.llm;
  if (forcedTokenIds.some((id) => id >= vocabSize)) {
    throw invalid('forced_token_ids', `ids are below ${vocabSize}`);
  }
  const options = textOptions(text, manifest);
  const strange = request.media.findIndex(({ modality }) => modality !== Modality.IMAGE);
  if (strange >= 0) {
    throw new TesseraError('UNSUPPORTED', 'the engine takes visual tokens of pictures only', {
      field: `media[${strange}].modality`,
    });
  }
  const prompt = buildPrompt(request, builder, vocabSize);
  const room = builder.model.maxPositions - prompt.tokenIds.length;
  if (forcedTokenIds.length > room) {
    throw invalid('forced_token_ids', `there are ${forcedTokenIds.length}, but the context has room for ${room}`);
  }
  return {
    requestId,
    attempt,
    prompt,
    contentKeys: contentKeys(
      prompt,
      request.media.map(({ digest }) => digest),
    ),
    priority: request.priority,
    client: request.client,
    cacheScope: request.cacheScope,
    tilesOnDemand: request.mediaOnDemand,
    ...options,
    forcedTokenIds,
    queuedDrawings,
    isTakeover: isTakeover(request),
    deadlineMs,
  };
}

function buildPrompt({ prompt, media }: GenerateRequest, builder: PromptBuilder, vocabSize: number): Prompt {
  switch (prompt?.$case) {
    case 'conversation':
      return builder.build(prompt.value, media);
    case 'tokens':
      return tokenPrompt(prompt.value, media, { ...builder.model, vocabSize });
    default:
      throw new TesseraError('PROMPT_EMPTY', 'there is neither a conversation nor token ids', {
        field: 'conversation',
      });
  }
}

/** Whether an engine had admitted the request before. */
export function isTakeover({ takenOver, forcedTokenIds }: GenerateRequest): boolean {
  return takenOver || forcedTokenIds.length > 0;
}

function invalid(field: string, why: string): TesseraError {
  return new TesseraError('REQUEST_INVALID', `${field}: ${why}`, { field });
}
