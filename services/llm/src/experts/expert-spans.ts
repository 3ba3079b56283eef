import { fromWireError } from '@tessera/inference';
import { failSpan, startSpan } from '@tessera/service';
import { SampledSpans } from '../shards/sampled-spans.js';
import type { ShardCall } from '../shards/shard-calls.js';
import type { ExpertCallFacts } from './pool-stats.js';

/** A span for each of an engine's calls of shards that are told. A call is of a step, which is many requests': a trace of its own. */
export function recordCalls(calls: readonly ShardCall<ExpertCallFacts>[]): void {
  for (const { shard, layer, experts, rows, startedMs, endedMs, failure } of calls) {
    const attributes = { ...workAttributes(shard.group, layer, experts, rows), 'server.address': shard.address };
    const span = startSpan('expert call', { kind: 'client', attributes, parent: null, startMs: startedMs });
    if (failure !== undefined) failSpan(span, fromWireError(failure));
    span.end(endedMs);
  }
}

/** Spans of a shard's work. */
export class BatchSpans {
  readonly #group: string;
  readonly #spans = new SampledSpans('expert compute');

  constructor(group: string) {
    this.#group = group;
  }

  sample<T>(
    {
      layer,
      experts,
      rowCounts,
    }: { readonly layer: number; readonly experts: readonly number[]; readonly rowCounts: readonly number[] },
    compute: () => Promise<T>,
  ): Promise<T> {
    const rows = rowCounts.reduce((sum, count) => sum + count, 0);
    return this.#spans.sample(() => workAttributes(this.#group, layer, experts.length, rows), compute);
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
