import { TesseraError } from '@tessera/protocol';
import type { Binding, BoundSession, InferenceBackend } from './bound-session.js';
import { CheckedBinding } from './checked-binding.js';
import type { GraphDriver } from './graph-driver.js';
import { HeldMemory } from './held-memory.js';
import type { DeviceMemory, TensorPort } from './placed-tensor.js';

/** What both backends have in common: turns, life, and the refusal of what would be undefined behaviour in native code. */
export class CheckedSession implements BoundSession {
  readonly #driver: GraphDriver;
  readonly #bindings = new Set<CheckedBinding>();
  readonly #memories = new Set<HeldMemory>();
  /** Runs that were begun and have not ended. */
  #open = 0;
  #lastTurn: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(
    driver: GraphDriver,
    readonly fallbackReason: string | undefined,
  ) {
    this.#driver = driver;
  }

  get backend(): InferenceBackend {
    return this.#driver.backend;
  }

  get inputs(): readonly TensorPort[] {
    return this.#driver.inputs;
  }

  get outputs(): readonly TensorPort[] {
    return this.#driver.outputs;
  }

  createBinding(): Binding {
    this.#mustBeOpen();
    const binding = new CheckedBinding({
      driver: this.#driver,
      takeTurn: (call) => this.#takeTurn(call),
      onReleased: (released) => this.#bindings.delete(released),
    });
    this.#bindings.add(binding);
    return binding;
  }

  allocate(bytes: number): DeviceMemory {
    this.#mustBeOpen();
    if (!Number.isSafeInteger(bytes) || bytes <= 0) {
      throw new TesseraError('INTERNAL', `${bytes} is no number of bytes to allocate`);
    }
    const memory = new HeldMemory(this.#driver, bytes, this.#driver.allocate(bytes), (freed) =>
      this.#memories.delete(freed),
    );
    this.#memories.add(memory);
    return memory;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#lastTurn;
    await Promise.all([...this.#bindings].map((binding) => binding.release()));
    for (const memory of this.#memories) memory.release();
    await this.#driver.release();
  }

  #takeTurn(call: () => Promise<void>): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closedError());
    const turn = this.#open++ === 0 ? call() : this.#lastTurn.then(call);
    this.#lastTurn = turn.then(this.#onEnded, this.#onEnded);
    return turn;
  }

  readonly #onEnded = (): void => {
    this.#open--;
  };

  #mustBeOpen(): void {
    if (this.#closed !== undefined) throw this.#closedError();
  }

  #closedError(): TesseraError {
    return new TesseraError('DRAINING', 'the session was closed');
  }
}
