import type { ExpertSessions } from '../experts/expert-sessions.js';
import { cutRows, gatherRows } from '../experts/gather-rows.js';
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
    const shares = work.map(({ expert, rows: { length: count } }) => ({ expert, count }));
    const answers = await this.sessions.compute(layer, shares, gatherRows(rows, work, this.hiddenSize));
    return cutRows(answers, work, this.hiddenSize).map((own) => ({ answers: own }));
  }

  /** Nothing changes. */
  async changed(): Promise<void> {}

  release(): Promise<void> {
    return this.sessions.release();
  }
}
