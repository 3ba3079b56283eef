import type { ChatEvent, FinishReason, PictureEvent, TokenLogprob } from './chat-event.js';
import type { ModelInfo } from './model.js';
import type { TimelineSpan } from './timeline.js';
import type { Usage } from './usage.js';

/** A picture that the model has drawn. */
export interface Picture {
  /** The type of the file, such as `image/png`. */
  readonly mimeType: string;
  /** The file. */
  readonly bytes: Uint8Array;
}

/** A whole answer. */
export interface Answer {
  /** The request's id; quote it when you report a fault. */
  readonly requestId: string;
  /** The model that answered. */
  readonly model: ModelInfo;
  /** The seed in use. */
  readonly seed: bigint;
  /** All of its words. */
  readonly text: string;
  /** Its pictures, in order. */
  readonly pictures: readonly Picture[];
  /** Words and pictures in the order in which the model made them. */
  readonly items: readonly (string | Picture)[];
  /** How likely each token was, in order, if asked for; those without text at the very end are left out. */
  readonly logprobs?: readonly TokenLogprob[];
  /** Why the text ended. */
  readonly finishReason: FinishReason;
  /** What it took. */
  readonly usage: Usage;
  /** What happened when, stage by stage. */
  readonly timeline: readonly TimelineSpan[];
}

/** Puts an answer together from its events. */
export class AnswerBuilder {
  private accepted: Extract<ChatEvent, { type: 'accepted' }> | undefined;
  private finishReason: FinishReason = 'unspecified';
  private readonly logprobs: TokenLogprob[] = [];
  private readonly items = new Map<number, string | Picture>();

  /** @returns the answer, once its last event is there */
  add(event: ChatEvent): Answer | undefined {
    switch (event.type) {
      case 'accepted':
        this.accepted = event;
        break;
      case 'text':
        this.items.set(event.item, `${this.items.get(event.item) ?? ''}${event.text}`);
        if (event.logprobs !== undefined) this.logprobs.push(...event.logprobs);
        break;
      case 'picture':
        this.items.set(event.item, pictureOf(event));
        break;
      case 'text_finished':
        this.finishReason = event.reason;
        break;
      case 'finished':
        return this.complete(event);
    }
    return undefined;
  }

  private complete({ usage, timeline }: Extract<ChatEvent, { type: 'finished' }>): Answer | undefined {
    if (this.accepted === undefined) return undefined;
    const { requestId, model, seed } = this.accepted;
    const items = [...this.items].sort(([a], [b]) => a - b).map(([, item]) => item);
    const text = items.filter((item) => typeof item === 'string').join('');
    const pictures = items.filter((item) => typeof item !== 'string');
    const { finishReason, logprobs } = this;
    const told = logprobs.length > 0 ? { logprobs } : {};
    return { requestId, model, seed, text, pictures, items, ...told, finishReason, usage, timeline };
  }
}

const pictureOf = ({ mimeType, bytes }: PictureEvent): Picture => ({ mimeType, bytes });
