/** When an answer's parts came, in milliseconds since the question was asked. */
export interface TimedAnswer {
  readonly text: string;
  readonly tokens: number;
  /** The first text. */
  readonly firstMs: number;
  /** The last text. */
  readonly lastMs: number;
  /** The end of the stream. */
  readonly endMs: number;
  /** Drawings that came with it. */
  readonly drawings: number;
  /** Moments and durations on the way, by name. */
  readonly marks: ReadonlyMap<string, number>;
}

/** Collects one answer's times while it comes. */
export class AnswerClock {
  private readonly startedAt = performance.now();
  private readonly marks = new Map<string, number>();
  private text = '';
  private tokens = 0;
  private firstTokens = 0;
  private firstMs = Number.NaN;
  private lastMs = Number.NaN;
  private drawings = 0;

  nowMs(): number {
    return performance.now() - this.startedAt;
  }

  /** Notes a moment, now, or another number under a name. */
  mark(name: string, value = this.nowMs()): void {
    this.marks.set(name, value);
  }

  delta(text: string, tokens: number): void {
    this.lastMs = this.nowMs();
    if (this.tokens === 0) {
      this.firstMs = this.lastMs;
      this.firstTokens = tokens;
    }
    this.text += text;
    this.tokens += tokens;
  }

  drawing(): void {
    this.drawings++;
  }

  end(): TimedAnswer {
    const { text, tokens, firstMs, lastMs, drawings, marks } = this;
    marks.set('tokens of the first text', this.firstTokens);
    return { text, tokens, firstMs, lastMs, endMs: this.nowMs(), drawings, marks };
  }
}

/** Tokens per second while the answer is being written: those after the first text, over the time since it. */
export function writingRate({ tokens, firstMs, lastMs, marks }: TimedAnswer): number {
  const rest = tokens - (marks.get('tokens of the first text') ?? 0);
  return rest / ((lastMs - firstMs) / 1000);
}
