/** How many calls of each method are open: what a drain that ran out of time reports. */
export class OpenCalls {
  readonly #counts = new Map<string, number>();

  opened(path: string): void {
    this.#counts.set(path, (this.#counts.get(path) ?? 0) + 1);
  }

  closed(path: string): void {
    const left = (this.#counts.get(path) ?? 1) - 1;
    if (left === 0) this.#counts.delete(path);
    else this.#counts.set(path, left);
  }

  /** Such as `['/tessera.v1.LlmService/Generate (3)']`; empty when nothing is open. */
  describe(): string[] {
    return [...this.#counts].map(([path, count]) => `${path} (${count})`);
  }
}
