import { type Batched, BatchedGraph, type BatchLimits, type Session } from '@tessera/inference';
import type { Float32Tensor } from '@tessera/protocol';

/** What the model is, as its bundle's manifest says. */
export interface ConnectorModel {
  /** Feature rows of one tile. */
  readonly patches: number;
  /** Width of one feature row. */
  readonly width: number;
  /** Visual tokens of one tile. */
  readonly tokens: number;
  /** Width of one visual token. */
  readonly llmWidth: number;
}

export interface EngineOptions extends BatchLimits {
  onBatch?(batch: { readonly size: number; readonly busyMs: number }): void;
}

/** The connector's network. Tiles of different requests share batches, and do not influence each other. */
export class ConnectorEngine {
  private readonly graph: BatchedGraph;

  constructor(session: Session, model: ConnectorModel, options: EngineOptions) {
    this.graph = new BatchedGraph(session, {
      ...options,
      what: 'tiles',
      input: { name: 'features', shape: [model.patches, model.width] },
      output: { name: 'visual_tokens', shape: [model.tokens, model.llmWidth] },
    });
  }

  /**
   * Projects the features of one tile.
   * @param features [patches, width]
   * @returns visual tokens [tokens, llmWidth]
   * @throws TesseraError TENSOR_INVALID, QUEUE_FULL, DRAINING; CANCELLED or DEADLINE_EXCEEDED by the signal
   */
  connect(features: Float32Tensor, signal: AbortSignal): Promise<Batched<Float32Tensor>> {
    return this.graph.run(features, signal);
  }

  /** Says that tiles are on their way, until disposed of: batches wait a moment for them. */
  announce(): Disposable {
    return this.graph.announce();
  }

  /** Finishes the tiles that wait, and refuses later ones. */
  close(): Promise<void> {
    return this.graph.close();
  }
}
