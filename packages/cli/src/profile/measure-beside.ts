import { setTimeout as pause } from 'node:timers/promises';
import { costOf, type Profile } from '@tessera/adviser';
import type { Asked, Asker } from './asker.js';
import type { MeasuredLlm } from './measure-llm.js';
import type { Measuring } from './measuring.js';
import { curveOf, median, repeat, sigmaOf } from './statistics.js';

/** Answers beside which requests are asked, as far as the engine takes so many. */
const besides = [1, 3, 8];
/** More than a step of most models takes. */
const mostPauseMs = 20;
/** Tokens of each of them: long ones, so that few begin meanwhile. */
const answerTokens = 192;

export interface MeasuredBeside {
  readonly joinMs: Profile['llm']['joinMs'];
  readonly besideMs: Profile['besideMs'];
  readonly besideSigma: number;
}

export interface BesideOf {
  readonly llm: MeasuredLlm;
  readonly maxRunning: number;
  /** Tokens that a sequence may have. */
  readonly contextTokens: number;
  /** Words of each prompt. */
  readonly words: number;
}

/**
 * What a request takes longer beside answers that are being written: on its way, where the same threads hand on their
 * tokens, and in the step that computes its prompt. One after the other, each at some moment of a step.
 */
export async function measureBeside(measuring: Measuring, of: BesideOf): Promise<MeasuredBeside> {
  const { asker, times, tell } = measuring;
  const tokens = Math.min(answerTokens, Math.floor(of.contextTokens / 2));
  const counts = besides.filter((answers) => answers < of.maxRunning);
  const way: { size: number; ms: number }[] = [];
  const spread: number[] = [];
  const join: { size: number; ms: number }[] = [];
  for (const answers of counts) {
    tell(`requests beside ${answers} answers`);
    const ask = () =>
      repeat(times(24), async () => {
        // Or each would come at the moment in a step at which the one before it was answered.
        await pause(Math.random() * mostPauseMs);
        return asker.ask({ words: of.words, tokens: 1 });
      });
    // Right before, since what a machine has to do beside all this changes.
    const alone = await ask();
    const crowded = await beside(asker, { answers, words: of.words, tokens }, ask);
    const longer = longerOf({ alone, crowded, llm: of.llm }, answers, tokens);
    way.push({ size: answers, ms: longer.wayMs });
    join.push({ size: answers, ms: longer.joinMs });
    spread.push(...longer.spread);
  }
  return {
    joinMs: counts.length === 0 ? undefined : curveOf(join),
    besideMs: counts.length === 0 ? undefined : curveOf(way),
    besideSigma: sigmaOf(spread),
  };
}

type Timed = Pick<Asked, 'firstMs' | 'spent'>;

interface Compared {
  readonly alone: readonly Timed[];
  /** The same requests beside answers. */
  readonly crowded: readonly Timed[];
  readonly llm: MeasuredLlm;
}

interface Longer {
  readonly wayMs: number;
  readonly joinMs: number;
  /** The way of each, as a multiple of the one in the middle. */
  readonly spread: readonly number[];
}

/**
 * What requests took longer beside so many answers than they would alone.
 * @param tokens of each answer, which are half written in the mean
 */
export function longerOf({ alone, crowded, llm }: Compared, answers: number, tokens: number): Longer {
  const stepMs = costOf(llm.decodeMs)(answers) + (llm.contextMs * answers * tokens) / 2 / 1000;
  const ways = crowded.map(wayOf);
  const prompt = (asked: readonly Timed[]): number => median(asked.map((each) => each.spent('llm', 'prefill')));
  // The engine takes it up at the end of the step under way, which is half over in the mean.
  return {
    wayMs: Math.max(0, median(ways) - median(alone.map(wayOf)) - stepMs / 2),
    joinMs: Math.max(0, prompt(crowded) - prompt(alone) - stepMs),
    spread: ways.map((ms) => ms / median(ways)),
  };
}

/** Until its prompt is computed, waits for a slot apart. */
function wayOf({ firstMs, spent }: Timed): number {
  return firstMs - spent('llm', 'queue') - spent('llm', 'prefill');
}

/** Does something while so many answers are being written, of which one ends now and then, and is followed by another. */
async function beside<Result>(
  asker: Asker,
  { answers, words, tokens }: { answers: number; words: number; tokens: number },
  work: () => Promise<Result>,
): Promise<Result> {
  let over = false;
  const writing = Array.from({ length: answers }, async (_, each) => {
    // The first ones are cut, or all would end together.
    for (let most = Math.ceil((tokens * (each + 1)) / answers); !over; most = tokens) {
      await asker.ask({ words, tokens: most });
    }
  });
  const worked = (async () => {
    try {
      // By the time that a short one is answered those before it are being written.
      await asker.ask({ words, tokens: 1 });
      return await work();
    } finally {
      over = true;
    }
  })();
  const [result] = await Promise.all([worked, ...writing]);
  return result;
}
