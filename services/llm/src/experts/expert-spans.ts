import { fromWireError } from '@tessera/inference';
import { failSpan, inSpan, startSpan } from '@tessera/service';
import type { ShardCall } from './shard-calls.js';

/** A span for each of an engine's calls of shards that are told. A call is of a step, which is many requests': a trace of its own. */
export function recordCalls(calls: readonly ShardCall[]): void {
  for (const { shard, layer, experts, rows, startedMs, endedMs, failure } of calls) {
    const attributes = { ...workAttributes(shard.group, layer, experts, rows), 'server.address': shard.address };
    const span = startSpan('expert call', { kind: 'client', attributes, parent: null, startMs: startedMs });
    if (failure !== undefined) failSpan(span, fromWireError(failure));
    span.end(endedMs);
  }
}

/** As often a shard records what it does: it computes thousands of batches in that time. */
const sampleMs = 1000;

/** Spans of a shard's work: of the first batch in each second. */
export class BatchSpans {
  readonly #group: string;
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(group: string) {
    this.#group = group;
  }

  async sample<T>(
    {
      layer,
      experts,
      rowCounts,
    }: { readonly layer: number; readonly experts: readonly number[]; readonly rowCounts: readonly number[] },
    compute: () => Promise<T>,
  ): Promise<T> {
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return compute();
    this.#nextMs = nowMs + sampleMs;
    const rows = rowCounts.reduce((sum, count) => sum + count, 0);
    const attributes = workAttributes(this.#group, layer, experts.length, rows);
    return await inSpan('expert compute', { attributes, parent: null }, compute);
  }
}

function workAttributes(group: string, layer: number, experts: number, rows: number) {
  return {
    'tessera.expert.group': group,
    'tessera.expert.layer': layer,
    'tessera.expert.experts': experts,
    'tessera.expert.rows': rows,
  };
}
