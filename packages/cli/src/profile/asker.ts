import { randomInt } from 'node:crypto';
import { connect, type TesseraClient, TesseraError, type TlsOptions } from '@tessera/client';
import { encodePng } from '@tessera/media';
import { tensor } from '@tessera/protocol';
import { explained } from '../chat/unreachable.js';

/** What is asked. */
export interface Question {
  /** Words of the prompt; each time others, so that nothing of it lies in a cache. Or what is said word for word. */
  readonly words: number | string;
  readonly pictures?: readonly Uint8Array[];
  /** Tokens of the answer: exactly so many, unless `free`. */
  readonly tokens: number;
  /** The model may end sooner, and may draw. */
  readonly free?: boolean;
  readonly drawingSteps?: number;
}

/** What was answered, and when: milliseconds since it was asked. */
export interface Asked {
  readonly firstMs: number;
  readonly lastTextMs: number;
  readonly endMs: number;
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly imageTokens: number;
  readonly outputTokens: number;
  readonly pictures: number;
  /** When each token came, as far as pieces of text tell them apart. */
  readonly tokensAt: readonly { readonly atMs: number; readonly tokens: number }[];
  /** Milliseconds of a stage's work, as its spans say; summed over tiles. */
  spent(stage: string, name: string): number;
}

/** Asks a gateway as clients do, with prompts that no cache knows and answers of a known length. */
export class Asker implements Disposable {
  readonly #client: TesseraClient;

  /** @param mute tokens that an answer of a known length must not have: those that begin a drawing */
  constructor(
    private readonly address: string,
    private readonly signal: AbortSignal,
    private readonly mute: readonly number[],
    tls?: TlsOptions,
  ) {
    this.#client = connect(address, { tls, retry: { maxAttempts: 1 } });
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  /** @throws TesseraError */
  async describe() {
    try {
      return await this.#client.describe('', { signal: this.signal });
    } catch (reason) {
      throw explained(TesseraError.from(reason), this.address);
    }
  }

  /** How many words make so many tokens of a prompt, about. */
  async calibrate(): Promise<(tokens: number) => number> {
    const few = await this.ask({ words: 1, tokens: 1 });
    const many = await this.ask({ words: 41, tokens: 1 });
    const ofWord = Math.max(1, (many.inputTokens - few.inputTokens) / 40);
    const around = few.inputTokens - ofWord;
    return (tokens) => Math.max(1, Math.round((tokens - around) / ofWord));
  }

  /** @throws TesseraError */
  async ask({ words, pictures = [], tokens, free = false, drawingSteps }: Question): Promise<Asked> {
    const content = [
      ...pictures.map((bytes) => ({ image: { bytes } })),
      typeof words === 'string' ? words : someWords(words),
    ];
    const length = free ? { maxTokens: tokens } : { maxTokens: tokens, minTokens: tokens };
    const muted = Object.fromEntries(free ? [] : this.mute.map((id) => [id, -100]));
    const startedAt = performance.now();
    const nowMs = (): number => performance.now() - startedAt;
    const tokensAt: { atMs: number; tokens: number }[] = [];
    const stream = this.#client.chat(
      {
        messages: [{ role: 'user', content }],
        text: { temperature: 0, ...length, ...(free ? {} : { logitBias: muted }) },
        draw: drawingSteps === undefined ? undefined : { steps: drawingSteps },
      },
      { signal: this.signal },
    );
    for await (const event of stream)
      if (event.type === 'text') tokensAt.push({ atMs: nowMs(), tokens: event.tokenCount });
    const endMs = nowMs();
    const { usage, timeline, pictures: drawn } = await stream.answer();
    return {
      firstMs: tokensAt[0]?.atMs ?? endMs,
      lastTextMs: tokensAt.at(-1)?.atMs ?? endMs,
      endMs,
      inputTokens: usage.inputTokens,
      cachedTokens: usage.cachedInputTokens,
      imageTokens: usage.inputByModality.image ?? 0,
      outputTokens: usage.outputTokens,
      pictures: drawn.length,
      tokensAt,
      spent: (stage, name) =>
        timeline.reduce((sum, span) => sum + (span.stage === stage && span.name === name ? span.durationMs : 0), 0),
    };
  }
}

/** So many short words by chance. */
function someWords(count: number): string {
  return Array.from({ length: Math.max(1, count) }, () => randomInt(36 ** 3, 36 ** 4).toString(36)).join(' ');
}

/** A picture that nobody has seen before, as PNG: soft colours with some noise, as photographs have. */
export function newPicture(width: number, height: number): Promise<Uint8Array> {
  const [a, b, c] = [randomInt(1000), randomInt(1000), randomInt(1000)] as const;
  const plane = width * height;
  const data = new Float32Array(3 * plane);
  let noise = a * 1_000_003 + b * 1009 + c + 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      noise = (Math.imul(noise, 1_664_525) + 1_013_904_223) >>> 0;
      const grain = noise / 2 ** 32 / 64;
      const at = y * width + x;
      data[at] = Math.sin((x + a) / 23) * 0.8 + grain;
      data[plane + at] = Math.sin((y + b) / 31) * 0.8 + grain;
      data[2 * plane + at] = Math.sin((x + y + c) / 47) * 0.8 + grain;
    }
  }
  return encodePng(tensor('float32', [3, height, width], data));
}
