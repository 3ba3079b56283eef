import { TesseraError } from '@tessera/protocol';
import { longAnswer, longAnswerTokens, type Prompt } from '../prompts.js';
import type { LocalPipeline } from '../subjects/local-pipeline.js';

const atOnce = 16;
const maxSeeds = 512;

/**
 * Prompts whose answers are all 100 tokens long and ask for no drawing: seeds are tried until there are enough, since
 * even a hot answer ends early now and then.
 * @throws TesseraError INTERNAL when the model's answers do not get that long
 */
export async function longAnswers(local: LocalPipeline, prompt: Prompt, count: number): Promise<Prompt[]> {
  const found: Prompt[] = [];
  for (let first = 0; found.length < count; first += atOnce) {
    if (first >= maxSeeds) throw new TesseraError('INTERNAL', `of ${maxSeeds} seeds too few give long answers`);
    const tried = Array.from({ length: atOnce }, (_, offset) => longAnswer(prompt, first + offset));
    const answers = await Promise.all(tried.map((each) => local.ask(each)));
    found.push(...tried.filter((_, at) => answers[at]?.tokens === longAnswerTokens && answers[at].drawings === 0));
  }
  return found.slice(0, count);
}
