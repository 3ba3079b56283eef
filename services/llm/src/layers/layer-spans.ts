import { fromWireError } from '@tessera/inference';
import type { LayerRow } from '@tessera/protocol';
import { failSpan, startSpan } from '@tessera/service';
import { SampledSpans } from '../shards/sampled-spans.js';
import type { ShardCall } from '../shards/shard-calls.js';
import type { LayerCallFacts } from './layer-link.js';

/** A span for each of an engine's calls of layer shards that are told. A call is of a step, which is many requests': a trace of its own. */
export function recordLayerCalls(calls: readonly ShardCall<LayerCallFacts>[]): void {
  for (const { piece, address, rows, positions, startedMs, endedMs, failure } of calls) {
    const attributes = { ...workAttributes(piece, rows, positions), 'server.address': address };
    const span = startSpan('layer call', { kind: 'client', attributes, parent: null, startMs: startedMs });
    if (failure !== undefined) failSpan(span, fromWireError(failure));
    span.end(endedMs);
  }
}

/** Spans of a shard's work. */
export class ComputeSpans {
  readonly #piece: number;
  readonly #spans = new SampledSpans('layer compute');

  constructor(piece: number) {
    this.#piece = piece;
  }

  sample<T>(rows: readonly LayerRow[], compute: () => Promise<T>): Promise<T> {
    const positions = rows.reduce((sum, { count }) => sum + count, 0);
    return this.#spans.sample(() => workAttributes(this.#piece, rows.length, positions), compute);
  }
}

function workAttributes(piece: number, rows: number, positions: number) {
  return { 'tessera.layers.piece': piece, 'tessera.layers.rows': rows, 'tessera.layers.positions': positions };
}
