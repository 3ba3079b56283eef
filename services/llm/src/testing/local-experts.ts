import type { ExpertSessions } from '../experts/expert-sessions.js';
import { gatherRows } from '../experts/gather-rows.js';
import type { ExpertAnswer, ExpertProvider, ExpertWork } from '../model/expert-provider.js';

/** All experts in this thread. */
export class LocalExperts implements ExpertProvider {
  constructor(
    private readonly sessions: ExpertSessions,
    private readonly hiddenSize: number,
  ) {}

  beginStep(): void {}

  endStep(): void {}

  async compute(layer: number, rows: Float32Array, work: readonly ExpertWork[]): Promise<readonly ExpertAnswer[]> {
    const answers: ExpertAnswer[] = [];
    for (const { expert, rows: mine } of work) {
      answers.push({
        answers: await this.sessions.run({ layer, expert }, gatherRows(rows, mine, this.hiddenSize)),
      });
    }
    return answers;
  }

  /** Nothing changes. */
  async changed(): Promise<void> {}

  release(): Promise<void> {
    return this.sessions.release();
  }
}
