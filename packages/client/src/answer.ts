import type {
  ChatEvent,
  FinishReason,
  PictureEvent,
  TextEvent,
  TextFinishedEvent,
  TokenLogprob,
} from './chat-event.js';
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

/** One of the answers that a request asked for. */
export interface AnswerChoice {
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
}

/** A whole answer: its first choice, what else there is to know of it, and all its choices. */
export interface Answer extends AnswerChoice {
  /** The request's id; quote it when you report a fault. */
  readonly requestId: string;
  /** The model that answered. */
  readonly model: ModelInfo;
  /** The seed in use; that of a further choice is this and the choice's number. */
  readonly seed: bigint;
  /** As many as were asked for, in order. */
  readonly choices: readonly AnswerChoice[];
  /** What it took. */
  readonly usage: Usage;
  /** What happened when, stage by stage. */
  readonly timeline: readonly TimelineSpan[];
}

/** Puts an answer together from its events. */
export class AnswerBuilder {
  private accepted: Extract<ChatEvent, { type: 'accepted' }> | undefined;
  private readonly choices = new Map<number, ChoiceBuilder>();

  /** @returns the answer, once its last event is there */
  add(event: ChatEvent): Answer | undefined {
    switch (event.type) {
      case 'accepted':
        this.accepted = event;
        break;
      case 'text':
      case 'picture':
      case 'text_finished':
        this.choice(event.choice).add(event);
        break;
      case 'finished':
        return this.complete(event);
    }
    return undefined;
  }

  private choice(number: number): ChoiceBuilder {
    const known = this.choices.get(number);
    if (known !== undefined) return known;
    const choice = new ChoiceBuilder();
    this.choices.set(number, choice);
    return choice;
  }

  private complete({ usage, timeline }: Extract<ChatEvent, { type: 'finished' }>): Answer | undefined {
    if (this.accepted === undefined) return undefined;
    const { requestId, model, seed } = this.accepted;
    const first = this.choice(0).complete();
    const others = [...this.choices].filter(([number]) => number > 0).sort(([a], [b]) => a - b);
    const choices = [first, ...others.map(([, choice]) => choice.complete())];
    return { requestId, model, seed, ...first, choices, usage, timeline };
  }
}

/** Puts one choice together. */
class ChoiceBuilder {
  private finishReason: FinishReason = 'unspecified';
  private readonly logprobs: TokenLogprob[] = [];
  private readonly items = new Map<number, string | Picture>();

  add(event: TextEvent | PictureEvent | TextFinishedEvent): void {
    switch (event.type) {
      case 'text':
        this.items.set(event.item, `${this.items.get(event.item) ?? ''}${event.text}`);
        if (event.logprobs !== undefined) this.logprobs.push(...event.logprobs);
        return;
      case 'picture':
        this.items.set(event.item, pictureOf(event));
        return;
      case 'text_finished':
        this.finishReason = event.reason;
        return;
    }
  }

  complete(): AnswerChoice {
    const items = [...this.items].sort(([a], [b]) => a - b).map(([, item]) => item);
    const text = items.filter((item) => typeof item === 'string').join('');
    const pictures = items.filter((item) => typeof item !== 'string');
    const { finishReason, logprobs } = this;
    const told = logprobs.length > 0 ? { logprobs } : {};
    return { text, pictures, items, ...told, finishReason };
  }
}

const pictureOf = ({ mimeType, bytes }: PictureEvent): Picture => ({ mimeType, bytes });
