import {
  type Accepted,
  type AnswerEvent,
  type TokenLogprob as ContractLogprob,
  durationMs,
  FinishReason,
  type OutputItemStarted,
  type OutputMediaPart,
  RequestState,
} from '@tessera/protocol';
import type {
  AcceptedEvent,
  ChatEvent,
  ItemStartedEvent,
  LogprobCandidate,
  PictureEvent,
  TokenLogprob,
} from './chat-event.js';
import { modalityOf, modelInfo } from './model.js';
import { timelineSpan } from './timeline.js';
import { usageOf } from './usage.js';
import { wordOf } from './words.js';

/** Turns the events of one answer, as the contract has them, into those of the client. */
export class EventReader {
  private readonly pictures = new Map<number, { readonly mimeType: string; readonly parts: Uint8Array[] }>();

  /** @returns undefined for what is told later, as parts of a picture are, and for what this version does not know */
  read(event: AnswerEvent | undefined): ChatEvent | undefined {
    const what = event?.event;
    switch (what?.$case) {
      case 'accepted':
        return accepted(what.value);
      case 'stateChanged':
        return { type: 'state', state: wordOf(RequestState, what.value.state), atMs: durationMs(what.value.at) };
      case 'segmentArrived': {
        const { media, segment, tokenCount } = what.value;
        return { type: 'segment', media, segment, tokenCount };
      }
      case 'itemStarted':
        return this.started(what.value);
      case 'textDelta': {
        const { item, text, tokenCount, logprobs } = what.value;
        const told = logprobs.length > 0 ? { logprobs: logprobs.map(tokenLogprob) } : {};
        return { type: 'text', item, text, tokenCount, ...told };
      }
      case 'mediaProgress': {
        const { item, step, steps } = what.value;
        return { type: 'draw_progress', item, step, steps };
      }
      case 'mediaPart':
        return this.part(what.value);
      case 'itemFinished':
        return { type: 'item_finished', item: what.value.item };
      case 'choiceFinished': {
        const { reason, tokenCount } = what.value;
        return { type: 'text_finished', reason: wordOf(FinishReason, reason), tokenCount };
      }
      case 'finished':
        return {
          type: 'finished',
          usage: usageOf(what.value.usage),
          timeline: what.value.spans.map(timelineSpan),
        };
      case 'drain':
        return { type: 'drain' };
      default:
        return undefined;
    }
  }

  private started({ item, content }: OutputItemStarted): ItemStartedEvent | undefined {
    switch (content?.$case) {
      case 'text':
        return { type: 'item_started', item, modality: 'text' };
      case 'media': {
        const { modality, mimeType } = content.value;
        this.pictures.set(item, { mimeType, parts: [] });
        return { type: 'item_started', item, modality: modalityOf(modality), mimeType };
      }
      default:
        return undefined;
    }
  }

  private part({ item, data, last }: OutputMediaPart): PictureEvent | undefined {
    const picture = this.pictures.get(item);
    if (picture === undefined) return undefined;
    picture.parts.push(data);
    if (!last) return undefined;
    this.pictures.delete(item);
    return { type: 'picture', item, mimeType: picture.mimeType, bytes: Buffer.concat(picture.parts) };
  }
}

function tokenLogprob({ token, top }: ContractLogprob): TokenLogprob {
  const written = token ?? { tokenId: 0, bytes: new Uint8Array(), logprob: Number.NaN };
  return { ...candidate(written), top: top.map(candidate) };
}

function candidate({ tokenId, bytes, logprob }: LogprobCandidate): LogprobCandidate {
  return { tokenId, bytes, logprob };
}

function accepted({ requestId, model, seed, createTime, metadata }: Accepted): AcceptedEvent {
  return { type: 'accepted', requestId, model: modelInfo(model), seed, createTime, metadata };
}
