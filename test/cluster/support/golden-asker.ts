import { connect, type TesseraClient } from '@tessera/client';
import { type GoldenCase, goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import sharp from 'sharp';
import { expect } from 'vitest';

/** How far each channel of a drawing may be off after a takeover: docs/architecture.md, "What is equal to what". */
const maxDifference = 2;

/** Questions that are asked without a pause. */
interface Load {
  /** Answers so far, right or wrong. */
  answers(): number;
  /** Lets what is under way end, and says what was wrong with the answers, a line each. */
  stop(): Promise<readonly string[]>;
}

/** Asks the goldens' questions and holds the answers to them; drawings to those that were made undisturbed. */
export class GoldenAsker implements Disposable {
  private readonly drawings = new Map<string, Buffer>();

  /** It tries again as the client does by itself: a call that came to a gateway which takes no more is none that was lost. */
  private constructor(private readonly client: TesseraClient) {}

  static async create(address: string): Promise<GoldenAsker> {
    const asker = new GoldenAsker(connect(address));
    for (const golden of goldenCases.filter(draws)) {
      const [picture] = (await asker.chat(golden)).pictures;
      asker.drawings.set(golden.id, await pixels(picture?.bytes ?? new Uint8Array()));
    }
    return asker;
  }

  /** What is wrong with the answer; undefined if nothing. */
  async ask(golden: GoldenCase): Promise<string | undefined> {
    try {
      const { text, pictures } = await this.chat(golden);
      if (text !== visibleAnswer(golden)) return `'${text}' instead of '${visibleAnswer(golden)}'`;
      if (pictures.length !== (draws(golden) ? 1 : 0)) return `it has ${pictures.length} drawings`;
      for (const { bytes } of pictures) {
        const expected = this.drawings.get(golden.id) ?? Buffer.alloc(0);
        const drawn = await pixels(bytes);
        const difference = Math.max(...drawn.map((value, at) => Math.abs(value - (expected[at] ?? Number.NaN))));
        if (!(difference <= maxDifference)) return `its drawing differs by up to ${difference}`;
      }
      return undefined;
    } catch (reason) {
      return String(reason);
    }
  }

  /**
   * Does it while two callers ask without a pause, before it and behind it, too.
   * @returns what was wrong with their answers, a line each
   */
  async whileAsked(disturb: () => Promise<void>): Promise<readonly string[]> {
    const load = this.startLoad(2);
    const more = async (): Promise<void> => {
      const before = load.answers();
      await expect.poll(() => load.answers()).toBeGreaterThan(before + 4);
    };
    try {
      await more();
      await disturb();
      await more();
    } catch (reason) {
      throw new Error(`answers until then: ${JSON.stringify(await load.stop())}`, { cause: reason });
    }
    return await load.stop();
  }

  [Symbol.dispose](): void {
    this.client.close();
  }

  /** So many callers, each of whom asks one question after the other, of all cases in turn. */
  private startLoad(callers: number): Load {
    const wrong: string[] = [];
    let answers = 0;
    let next = 0;
    let isStopped = false;
    const call = async (): Promise<void> => {
      while (!isStopped) {
        const golden = goldenCases[next++ % goldenCases.length] as GoldenCase;
        const fault = await this.ask(golden);
        answers++;
        if (fault !== undefined) wrong.push(`${golden.id}: ${fault}`);
      }
    };
    const calls = Promise.all(Array.from({ length: callers }, call));
    return {
      answers: () => answers,
      async stop() {
        isStopped = true;
        await calls;
        return wrong;
      },
    };
  }

  private chat(golden: GoldenCase) {
    const content = [...picturesOf(golden).map((bytes) => ({ image: { bytes } })), golden.question];
    const request = { messages: [{ role: 'user' as const, content }], draw: { seed: 7n, steps: 4 } };
    return this.client.chat(request, { timeoutMs: 300_000 }).answer();
  }
}

function draws({ answer }: GoldenCase): boolean {
  return answer.includes('<|gen_start|>');
}

function pixels(png: Uint8Array): Promise<Buffer> {
  return sharp(png).raw().toBuffer();
}
