import { inSpan, type SpanOptions } from '@tessera/service';

/** As often a shard records what it does: it computes thousands of calls in that time. */
const sampleMs = 1000;

/** Spans of a shard's work, each a trace of its own: of the first call in each second. */
export class SampledSpans {
  readonly #name: string;
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(name: string) {
    this.#name = name;
  }

  async sample<T>(attributes: () => SpanOptions['attributes'], compute: () => Promise<T>): Promise<T> {
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return compute();
    this.#nextMs = nowMs + sampleMs;
    return await inSpan(this.#name, { attributes: attributes(), parent: null }, compute);
  }
}
