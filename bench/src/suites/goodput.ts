import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { type ErrorCode, TesseraError } from '@tessera/protocol';
import { describePicture, drawSomething, longAnswer, longAnswerTokens, type Prompt, whoAreYou } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import { type AskTerms, Deployment } from '../subjects/deployment.js';
import { closedLoop } from './concurrency.js';
import type { Suite, SuiteContext } from './suite.js';

/** Enough to have every stage busy. */
const clients = 32;
const drawingSteps = 10;
/** A request must be answered within so many times what it takes where there is as much to do as can be done. */
const patience = 1.5;
const leastPatienceMs = 1500;
/** What is asked for goes on for so many deadlines, so that more than the queues hold is asked for. */
const deadlines = 5;

interface Work {
  readonly name: string;
  prompt(index: number): Prompt;
  readonly terms: AskTerms;
}

const works: readonly Work[] = [
  { name: `words, ${longAnswerTokens} tokens`, prompt: (index) => longAnswer(whoAreYou, index), terms: {} },
  { name: 'picture, 18 tokens', prompt: () => describePicture, terms: {} },
  { name: `drawing, ${drawingSteps} steps`, prompt: () => drawSomething, terms: { steps: drawingSteps } },
];

interface Outcome {
  /** Answered in time. */
  readonly good: number;
  /** Refused with QUEUE_FULL. */
  readonly refused: number;
  /** Ended in any other way, nearly always late. */
  readonly late: number;
  /** Good answers a second, until the last of them. */
  readonly perSecond: number;
}

/** Requests come one after the other at a rate, whatever becomes of them. */
async function openLoop(perSecond: number, count: number, ask: (index: number) => Promise<unknown>): Promise<Outcome> {
  let good = 0;
  let refused = 0;
  let late = 0;
  let lastMs = 0;
  const startedAt = performance.now();
  const asked: Promise<void>[] = [];
  for (let index = 0; index < count; index++) {
    const dueMs = (index * 1000) / perSecond;
    const waitMs = startedAt + dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    asked.push(
      ask(index).then(
        () => {
          good++;
          lastMs = performance.now() - startedAt;
        },
        (reason: unknown) => {
          const code: ErrorCode = TesseraError.from(reason).code;
          if (code === 'QUEUE_FULL') refused++;
          else late++;
        },
      ),
    );
  }
  await Promise.all(asked);
  return { good, refused, late, perSecond: good === 0 ? 0 : good / (lastMs / 1000) };
}

/** What is answered in time when twice as much is asked for as can be done. */
export const goodput: Suite = {
  name: 'goodput',
  about: 'answers in time when as much, and twice as much, is asked for as can be answered',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const leastSeconds = times(30);
    await using deployment = await Deployment.start(await demoBundle('float32'));
    const rows: Cell[][] = [];
    for (const { name, prompt, terms } of works) {
      say(`goodput: ${name}, what can be done`);
      const prompts = (count: number): Prompt[] => Array.from({ length: count }, (_, index) => prompt(index));
      const ask = (each: Prompt) => deployment.ask(each, terms);
      await closedLoop(prompts(clients), clients, ask);
      const startedAt = performance.now();
      const { answers } = await closedLoop(prompts(3 * clients), clients, ask);
      const capacity = answers.length / ((performance.now() - startedAt) / 1000);
      const timeoutMs = Math.max(leastPatienceMs, patience * median(answers.map(({ endMs }) => endMs)));
      const seconds = Math.max(leastSeconds, (times(deadlines) * timeoutMs) / 1000);
      for (const load of [1, 2]) {
        const rate = load * capacity;
        say(`goodput: ${name}, ${rate.toFixed(1)} a second, each within ${timeoutMs.toFixed(0)} ms`);
        const { good, refused, late, perSecond } = await openLoop(rate, Math.round(rate * seconds), (index) =>
          deployment.ask(prompt(index), { ...terms, timeoutMs }),
        );
        const aim = load === 2 ? 'at least 0.9' : undefined;
        rows.push([name, `${load}x`, timeoutMs, capacity, perSecond, perSecond / capacity, aim, good, refused, late]);
      }
    }
    return [
      {
        title: 'Goodput',
        notes: [
          `What can be done is the rate of ${clients} clients that ask again as soon as they have an answer. Then requests come evenly for`,
          `${leastSeconds} s or ${deadlines} deadlines, as many and twice as many, each with a deadline of ${patience} times the median time of those`,
          'clients. Goodput is what is answered in time, a second, from the first request to the last such answer.',
        ],
        columns: [
          { title: 'request' },
          { title: 'load' },
          { title: 'deadline ms' },
          { title: 'capacity, 1/s', digits: 1 },
          { title: 'goodput, 1/s', digits: 1 },
          { title: 'ratio', digits: 2 },
          { title: 'aim' },
          { title: 'in time' },
          { title: 'refused' },
          { title: 'late' },
        ],
        rows,
      },
    ];
  },
};
