import { readFile } from 'node:fs/promises';
import type { Bundle } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { type Placement, readPlacement } from './placement.js';

/** A file is replaced, not written to, and in a ConfigMap by a link: its text is looked at. */
const pauseMs = 1000;

/** The file of the placement, which changes while it is in use. One that is wrong, or no later one, is not taken. */
export class PlacementFile {
  readonly #path: string;
  readonly #bundle: Bundle;
  #text = '';
  #epoch = 0;

  constructor(path: string, bundle: Bundle) {
    this.#path = path;
    this.#bundle = bundle;
  }

  /**
   * The placement to begin with.
   * @throws TesseraError CONFIG_INVALID
   */
  async open(): Promise<Placement> {
    this.#text = await readFile(this.#path, 'utf8').catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new TesseraError('CONFIG_INVALID', `the placement ${this.#path} cannot be read: ${why}`, { cause });
    });
    const placement = readPlacement(this.#path, this.#text, this.#bundle);
    this.#epoch = placement.epoch;
    return placement;
  }

  /** Looks at the file every second, and when it is told to, until the signal aborts. */
  follow(
    { onNew, onRefused }: { onNew: (placement: Placement) => void; onRefused: (error: TesseraError) => void },
    signal: AbortSignal,
  ): { lookNow(): void } {
    let looking = false;
    const look = async () => {
      if (looking || signal.aborted) return;
      looking = true;
      try {
        const placement = await this.look();
        if (placement !== undefined && !signal.aborted) onNew(placement);
      } catch (reason) {
        onRefused(TesseraError.from(reason));
      } finally {
        looking = false;
      }
    };
    const timer = setInterval(look, pauseMs);
    timer.unref();
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    return { lookNow: () => void look() };
  }

  /**
   * The placement, if it is another one than before.
   * @throws TesseraError CONFIG_INVALID, once for each text that is not to be taken
   */
  private async look(): Promise<Placement | undefined> {
    const text = await readFile(this.#path, 'utf8').catch(() => undefined);
    if (text === undefined || text === this.#text) return undefined;
    this.#text = text;
    const placement = readPlacement(this.#path, text, this.#bundle);
    if (placement.epoch <= this.#epoch) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `the placement ${this.#path} has changed, but its epoch is ${placement.epoch}; after ${this.#epoch} it must be higher`,
      );
    }
    this.#epoch = placement.epoch;
    return placement;
  }
}
