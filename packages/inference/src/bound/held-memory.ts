import type { DriverMemory, GraphDriver } from './graph-driver.js';
import type { DeviceMemory } from './placed-tensor.js';

/** Memory that is freed when it was released and no run holds it any more. */
export class HeldMemory implements DeviceMemory {
  #holds = 0;
  #isReleased = false;

  /**
   * @param driver that of the session which allocated it
   * @param onFreed told once, after it was freed
   */
  constructor(
    readonly driver: GraphDriver,
    readonly bytes: number,
    readonly inner: DriverMemory,
    private readonly onFreed: (memory: HeldMemory) => void,
  ) {}

  get isReleased(): boolean {
    return this.#isReleased;
  }

  hold(): void {
    this.#holds++;
  }

  letGo(): void {
    this.#holds--;
    this.#freeIfUnused();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (!this.#isReleased || this.#holds > 0) return;
    this.inner.free();
    this.onFreed(this);
  }
}
