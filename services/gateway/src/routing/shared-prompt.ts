import { abortable } from '@tessera/flow';
import type { KnownConversation } from './prefix-affinity.js';

/** One choice's turn to be sent to an engine. Dispose of it when the attempt is over. */
export interface PromptTurn extends Disposable {
  /** The engine that may have the prompt in its cache. */
  readonly known: KnownConversation | undefined;
  /** Whether another choice had it computed there. */
  readonly follows: boolean;
  /** An engine has the whole prompt in its cache, and writes. May be told more than once. */
  computed(engineId: string): void;
}

/**
 * The prompt that the choices of a request have in common. One of them computes it, the others are sent when it lies in
 * that engine's cache; where the engine is lost, one of those that go on computes it on another, and the rest follow.
 */
export class SharedPrompt {
  /** The engine that has it. */
  private engine: string | undefined;
  private isBeingComputed = false;
  private waiting: (() => void)[] = [];

  /** @param known the engine that may have it from an earlier request */
  constructor(private known: KnownConversation | undefined) {}

  /**
   * Waits while another choice computes it.
   * @param failed engines that failed this choice
   * @throws the signal's reason
   */
  async turn(failed: ReadonlySet<string>, signal: AbortSignal): Promise<PromptTurn> {
    while (this.isLost(failed) && this.isBeingComputed) {
      const change = new Promise<void>((resolve) => this.waiting.push(resolve));
      await abortable(change, signal);
    }
    if (!this.isLost(failed)) return follow(this.engine as string);
    return this.compute();
  }

  private isLost(failed: ReadonlySet<string>): boolean {
    return this.engine === undefined || failed.has(this.engine);
  }

  private compute(): PromptTurn {
    const { known } = this;
    // Should it have to be tried again: that engine did not answer with what it had, so the pictures are sent along.
    if (known !== undefined) this.known = { ...known, holdsPictures: false };
    this.engine = undefined;
    this.isBeingComputed = true;
    const end = (engineId: string | undefined): void => {
      if (!isOpen) return;
      isOpen = false;
      this.isBeingComputed = false;
      this.engine = engineId;
      for (const wake of this.waiting.splice(0)) wake();
    };
    let isOpen = true;
    return { known, follows: false, computed: end, [Symbol.dispose]: () => end(undefined) };
  }
}

function follow(engine: string): PromptTurn {
  const known = { engine, holdsPictures: true };
  return { known, follows: true, computed: () => undefined, [Symbol.dispose]: () => undefined };
}
