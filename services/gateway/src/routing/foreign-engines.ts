import type { Bus, EngineRoster, ForeignEngine } from '@tessera/bus';
import { sleep } from '@tessera/flow';

/** Between two looks while no engine is there, in milliseconds. */
const pauseMs = 2000;

/** What the gateway itself serves. */
export interface OwnKind {
  readonly version: string;
  readonly revision: string;
}

/**
 * Engines that are there and are none of this gateway's. They are listened for only while it has none: then their being
 * there is most likely what is wrong, and nobody else would say so.
 */
export class ForeignEngines {
  private words = '';

  /** @param own what this gateway works with */
  constructor(private readonly own: OwnKind) {}

  /** A clause for the error of a request that found no engine; empty where nobody was heard. */
  get inWords(): string {
    return this.words;
  }

  /** @param onHeard told whenever it is others than before, and there are any */
  async watch(
    bus: Pick<Bus, 'hearForeignEngines'>,
    roster: Pick<EngineRoster, 'size'>,
    onHeard: (words: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      const engines = roster.size > 0 ? [] : await bus.hearForeignEngines(signal).catch(() => []);
      const words = roster.size > 0 ? '' : this.describe(engines);
      if (words !== this.words && words !== '') onHeard(words);
      this.words = words;
      await sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  private describe(engines: readonly ForeignEngine[]): string {
    if (engines.length === 0) return '';
    const { version, revision } = this.own;
    const others = engines
      .map((engine) =>
        engine.version === version
          ? `revision ${engine.revision}`
          : `revision ${engine.revision} on version ${engine.version} of the bus`,
      )
      .toSorted();
    return `engines of ${others.join(', ')} are there, and this gateway serves revision ${revision} on version ${version}: give both the same model and release`;
  }
}
