import {
  type Accepted,
  type AnswerEvent,
  type TokenLogprob as ContractLogprob,
  durationMs,
  FinishReason,
  type OutputItemStarted,
  type OutputMediaPart,
  RequestState,
  Stage,
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
  /** By choice and item. */
  private readonly pictures = new Map<string, { readonly mimeType: string; readonly parts: Uint8Array[] }>();

  /** @returns undefined for what is told later, as parts of a picture are, and for what this version does not know */
  read(event: AnswerEvent | undefined): ChatEvent | undefined {
    const what = event?.event;
    switch (what?.$case) {
      case 'accepted':
        return accepted(what.value);
      case 'stateChanged':
        return { type: 'state', state: wordOf(RequestState, what.value.state), atMs: durationMs(what.value.at) };
      case 'stagesAwaited': {
        const { stages, at } = what.value;
        return { type: 'waiting', stages: stages.map((stage) => wordOf(Stage, stage)), atMs: durationMs(at) };
      }
      case 'segmentArrived': {
        const { media, segment, tokenCount } = what.value;
        return { type: 'segment', media, segment, tokenCount };
      }
      case 'itemStarted':
        return this.started(what.value);
      case 'textDelta': {
        const { item, choice, text, tokenCount, logprobs } = what.value;
        const told = logprobs.length > 0 ? { logprobs: logprobs.map(tokenLogprob) } : {};
        return { type: 'text', choice, item, text, tokenCount, ...told };
      }
      case 'mediaProgress': {
        const { item, choice, step, steps } = what.value;
        return { type: 'draw_progress', choice, item, step, steps };
      }
      case 'mediaPart':
        return this.part(what.value);
      case 'itemFinished':
        return { type: 'item_finished', choice: what.value.choice, item: what.value.item };
      case 'choiceFinished': {
        const { choice, reason, tokenCount } = what.value;
        return { type: 'text_finished', choice, reason: wordOf(FinishReason, reason), tokenCount };
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

  private started({ item, choice, content }: OutputItemStarted): ItemStartedEvent | undefined {
    switch (content?.$case) {
      case 'text':
        return { type: 'item_started', choice, item, modality: 'text' };
      case 'media': {
        const { modality, mimeType } = content.value;
        this.pictures.set(`${choice}/${item}`, { mimeType, parts: [] });
        return { type: 'item_started', choice, item, modality: modalityOf(modality), mimeType };
      }
      default:
        return undefined;
    }
  }

  private part({ item, choice, data, last }: OutputMediaPart): PictureEvent | undefined {
    const key = `${choice}/${item}`;
    const picture = this.pictures.get(key);
    if (picture === undefined) return undefined;
    picture.parts.push(data);
    if (!last) return undefined;
    this.pictures.delete(key);
    return { type: 'picture', choice, item, mimeType: picture.mimeType, bytes: Buffer.concat(picture.parts) };
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
