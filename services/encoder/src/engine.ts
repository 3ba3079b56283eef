import { type Batched, BatchedGraph, type BatchLimits, type Session } from '@tessera/inference';
import type { Float32Tensor } from '@tessera/protocol';

/** What the model is, as its bundle's manifest says. */
export interface EncoderModel {
  /** Pixels of one tile. */
  readonly inputSize: { readonly height: number; readonly width: number };
  /** Feature rows of one tile. */
  readonly patches: number;
  /** Width of one feature row. */
  readonly width: number;
}

export interface EngineOptions extends BatchLimits {
  onBatch?(batch: { readonly size: number; readonly busyMs: number }): void;
}

/** The modality encoder's network. Tiles of different requests share batches, and do not influence each other. */
export class EncoderEngine {
  private readonly graph: BatchedGraph;

  constructor(session: Session, model: EncoderModel, options: EngineOptions) {
    const { inputSize, patches, width } = model;
    this.graph = new BatchedGraph(session, {
      ...options,
      what: 'tiles',
      input: { name: 'pixel_values', shape: [3, inputSize.height, inputSize.width] },
      output: { name: 'features', shape: [patches, width] },
    });
  }

  /**
   * Encodes one tile.
   * @param pixelValues [3, height, width], preprocessed
   * @returns features [patches, width]
   * @throws TesseraError TENSOR_INVALID, QUEUE_FULL, DRAINING; CANCELLED or DEADLINE_EXCEEDED by the signal
   */
  encode(pixelValues: Float32Tensor, signal: AbortSignal): Promise<Batched<Float32Tensor>> {
    return this.graph.run(pixelValues, signal);
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
