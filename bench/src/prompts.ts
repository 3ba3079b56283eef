import type { TextOptions } from '@tessera/protocol';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { goldenCases, picturesOf } from '@tessera/testing/demo-model/goldens';

/** One question, as both ways of serving get it. */
export interface Prompt {
  /** A picture file's bytes. */
  readonly picture?: Uint8Array;
  readonly text: string;
  /** What was said after that: answers and further questions by turns, a question last. */
  readonly later?: readonly string[];
  readonly sampling: Partial<TextOptions>;
}

/** The longest greedy answer about a picture that the demo model has: 18 tokens. */
export const describePicture: Prompt = {
  picture: samplePicture('pair'),
  text: 'Describe the picture.',
  sampling: { temperature: 0 },
};

/** The longest greedy answer without a picture: 26 tokens. */
export const whoAreYou: Prompt = { text: '你是谁？', sampling: { temperature: 0 } };

/** A question that the model answers with a drawing. */
export const drawSomething: Prompt = { text: 'Draw a red apple on a blue background.', sampling: { temperature: 0 } };

export const longAnswerTokens = 100;

/** A prompt with an answer of 100 tokens. */
export function longAnswer(prompt: Prompt, seed: number): Prompt {
  return hotAnswer(prompt, seed, longAnswerTokens);
}

/**
 * A prompt with an answer that runs on to its limit, nearly always. The demo model's own answers are short; so hot a
 * temperature makes the end token as unlikely as any other. It is nonsense, and costs what sense would.
 */
export function hotAnswer(prompt: Prompt, seed: number, maxTokens: number): Prompt {
  return { ...prompt, sampling: { temperature: 8, maxTokens, seed: BigInt(seed) } };
}

/** Every question of the model's goldens: pictures and words, English and Chinese, and two drawings. */
export function goldenPrompts(): Prompt[] {
  return goldenCases.map((golden) => {
    const [picture] = picturesOf(golden);
    return { ...(picture && { picture }), text: golden.question, sampling: { temperature: 0 } };
  });
}
