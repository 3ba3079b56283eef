/** Something that must hold for a service to take work. */
export interface Need {
  /** What is waited for while it does not hold, in words that follow "waiting for": `NATS at nats://127.0.0.1:4222`. */
  readonly what: string;
  /** Whether it holds, as far as is known at this moment. */
  holds(): boolean;
  /** Looks whether it holds where that takes a message; called when somebody asks. What it finds is told by `holds`. */
  look?(): Promise<void>;
  /** Whether gRPC calls can be answered without it, as those of a stage can while NATS is away. False if absent. */
  readonly onlyForJobs?: boolean;
}

/** The answer to "do you take work?". */
export interface ReadinessReport {
  readonly ready: boolean;
  /** One line: `ready`, or what is waited for. */
  readonly text: string;
}

type Phase = 'starting' | 'serving' | 'draining';

/** A look is not repeated sooner than this, however often somebody asks, and is not waited for any longer. */
const lookEveryMs = 1000;

/**
 * Whether a service takes work, and what it waits for if not. Truth is told, not remembered: each need is asked anew.
 * Services say here what their start waits for, and what must hold as long as they run.
 */
export class Readiness {
  readonly #needs: Need[] = [];
  readonly #startWaitsFor: string[] = [];
  #phase: Phase = 'starting';
  #looking: Promise<void> | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;

  get phase(): Phase {
    return this.#phase;
  }

  set phase(phase: Phase) {
    this.#phase = phase;
  }

  /** Says that the start waits for this, until the promise settles. */
  async during<T>(what: string, work: Promise<T>): Promise<T> {
    this.#startWaitsFor.push(what);
    try {
      return await work;
    } finally {
      this.#startWaitsFor.splice(this.#startWaitsFor.indexOf(what), 1);
    }
  }

  /** From now on, the service takes work only while this holds. */
  require(need: Need): void {
    this.#needs.push(need);
  }

  /** As far as is known at this moment. */
  report(): ReadinessReport {
    const missing = this.#needs.filter((need) => !need.holds()).map(({ what }) => what);
    switch (this.#phase) {
      case 'draining':
        return { ready: false, text: 'not ready: draining' };
      case 'starting': {
        const waits = [...this.#startWaitsFor, ...missing];
        return { ready: false, text: `not ready: starting${waits.length === 0 ? '' : `, ${waitingFor(waits)}`}` };
      }
      case 'serving':
        return missing.length === 0
          ? { ready: true, text: 'ready' }
          : { ready: false, text: `not ready: ${waitingFor(missing)}` };
    }
  }

  /** Whether a call would be answered, though the service may not take jobs. */
  get answersCalls(): boolean {
    return this.#phase === 'serving' && this.#needs.every((need) => need.onlyForJobs === true || need.holds());
  }

  /** As `report`, after a look at what takes one. */
  async ask(): Promise<ReadinessReport> {
    if (this.#phase === 'serving') await this.#look();
    return this.report();
  }

  async #look(): Promise<void> {
    if (this.#looking === undefined && performance.now() - this.#lookedAt >= lookEveryMs) {
      this.#lookedAt = performance.now();
      const looks = Promise.allSettled(this.#needs.map(async (need) => need.look?.()));
      this.#looking = looks.then(() => {
        this.#looking = undefined;
      });
    }
    if (this.#looking === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, lookEveryMs);
    });
    await Promise.race([this.#looking, patience]);
    clearTimeout(timer);
  }
}

function waitingFor(whats: readonly string[]): string {
  return `waiting for ${whats.join(' and ')}`;
}
