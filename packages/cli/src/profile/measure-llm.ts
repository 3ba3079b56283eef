import type { Profile } from '@tessera/adviser';
import type { Asked, Asker } from './asker.js';
import type { Measuring } from './measuring.js';
import { curveOf, doubling, median, repeat, round, together } from './statistics.js';

/** More at once would tell little that a line does not. */
const maxTogether = 32;
/** Tokens of each answer while steps are timed. */
const answerTokens = 64;

/** What an engine takes for prompts and steps. */
export type MeasuredLlm = Pick<Profile['llm'], 'prefillMs' | 'decodeMs' | 'contextMs'>;

export async function measureLlm(
  { asker, times, tell }: Measuring,
  limits: Pick<Profile['llm'], 'maxRunning' | 'maxChunkTokens'> & { readonly contextTokens: number },
): Promise<MeasuredLlm> {
  const wordsFor = await asker.calibrate();
  const most = Math.min(limits.maxChunkTokens, limits.contextTokens - answerTokens);
  const prefill: { size: number; ms: number }[] = [];
  for (const tokens of [32, 64, 128, 256, 512, 1024, 2048, 4096].filter((each) => each < most).concat(most - 8)) {
    tell(`prompts of ${tokens} tokens`);
    const asked = await repeat(times(8), () => asker.ask({ words: wordsFor(tokens), tokens: 1 }));
    prefill.push({
      size: median(asked.map((each) => each.inputTokens - each.cachedTokens)),
      ms: median(asked.map((each) => each.spent('llm', 'prefill'))),
    });
  }
  const decode: { size: number; ms: number }[] = [];
  for (const sequences of doubling(Math.min(limits.maxRunning, maxTogether))) {
    tell(`${sequences} answers at once`);
    const rounds = await repeat(times(5), () => stepMs(asker, sequences, wordsFor(32)));
    decode.push({ size: sequences, ms: median(rounds) });
  }
  // A chunk of one token is a step of one answer.
  prefill.push({ size: 1, ms: Math.min(...[...prefill, ...decode.slice(0, 1)].map(({ ms }) => ms)) });
  tell('long prompts');
  // Answers at once, each behind a long prompt, against the same behind short ones.
  const few = Math.min(4, limits.maxRunning);
  const long = Math.max(64, Math.min(4096, Math.floor(limits.contextTokens / 2)) - answerTokens);
  const behindShort = median(await repeat(times(3), () => stepMs(asker, few, wordsFor(32))));
  const behindLong = median(await repeat(times(3), () => stepMs(asker, few, wordsFor(long))));
  return {
    prefillMs: curveOf(prefill),
    decodeMs: curveOf(decode),
    contextMs: round((behindLong - behindShort) / ((few * (long - 32)) / 1000)),
  };
}

/** Milliseconds from one step to the next while so many answers are written: from the last's first token to the first's last. */
async function stepMs(asker: Asker, sequences: number, words: number): Promise<number> {
  const begun: number[] = [];
  const answers = await together(sequences, async () => {
    begun.push(performance.now());
    return asker.ask({ words, tokens: answerTokens });
  });
  const moments = answers.map(({ tokensAt }, at) =>
    tokensAt.map((piece) => ({ atMs: (begun[at] as number) + piece.atMs, tokens: piece.tokens })),
  );
  const fromMs = Math.max(...moments.map((pieces) => pieces[0]?.atMs ?? 0));
  const untilMs = Math.min(...moments.map((pieces) => pieces.at(-1)?.atMs ?? 0));
  const perStep = moments.map((pieces) => {
    const within = pieces.filter(({ atMs }) => atMs >= fromMs && atMs <= untilMs);
    const tokens = within.slice(1).reduce((sum, piece) => sum + piece.tokens, 0);
    return ((within.at(-1)?.atMs ?? 0) - (within[0]?.atMs ?? 0)) / tokens;
  });
  const known = perStep.filter((ms) => Number.isFinite(ms) && ms > 0);
  // Where they hardly overlap, as the first may end before the last begins: each by itself.
  return known.length > 0 ? median(known) : median(answers.map(alone));
}

function alone({ firstMs, lastTextMs, outputTokens }: Asked): number {
  return (lastTextMs - firstMs) / Math.max(1, outputTokens - 1);
}
