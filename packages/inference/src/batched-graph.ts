import { elementCount, type Float32Tensor, TesseraError, tensor } from '@tessera/protocol';
import { type Batched, Batcher, type BatchLimits } from './batcher.js';
import type { Session } from './session.js';

/** A named tensor of a graph; the shape is one item's, without the batch in front. */
export interface GraphPort {
  readonly name: string;
  readonly shape: readonly number[];
}

/** What a graph makes of what. */
export interface GraphPorts {
  readonly input: GraphPort;
  readonly output: GraphPort;
}

export interface BatchedGraphOptions extends BatchLimits, GraphPorts {
  /** What an item is, in the words of an error: "tiles". */
  readonly what: string;
  onBatch?(batch: { readonly size: number; readonly busyMs: number }): void;
}

/** A graph of one float32 input and one float32 output, [batch, ...] each, that is run for many callers at once. */
export class BatchedGraph {
  private readonly batcher: Batcher<Float32Tensor, Float32Tensor>;

  constructor(
    private readonly session: Session,
    private readonly options: BatchedGraphOptions,
  ) {
    this.batcher = new Batcher({
      ...options,
      key: (item) => item.shape.join(','),
      run: (items) => this.runBatch(items),
    });
  }

  /** Items that wait for a batch. */
  get waitingCount(): number {
    return this.batcher.waitingCount;
  }

  /**
   * Runs the graph for one item, of the input's shape.
   * @returns a tensor of the output's shape, which may be a view into the batch's
   * @throws TesseraError TENSOR_INVALID on another shape; what `Batcher.submit` throws
   */
  async run(item: Float32Tensor, signal: AbortSignal): Promise<Batched<Float32Tensor>> {
    const { name, shape } = this.options.input;
    if (item.shape.join() !== shape.join() || item.data.length !== elementCount(shape)) {
      throw new TesseraError('TENSOR_INVALID', `${name} must be [${shape.join(', ')}], not [${item.shape.join(', ')}]`);
    }
    return this.batcher.submit(item, signal);
  }

  /** Says that an item is being made: see `Batcher.announce`. */
  announce(): Disposable {
    return this.batcher.announce();
  }

  /** Runs what waits, and refuses what comes later. The session stays its owner's. */
  close(): Promise<void> {
    return this.batcher.close();
  }

  private async runBatch(items: readonly Float32Tensor[]): Promise<Float32Tensor[]> {
    const { input, output } = this.options;
    const feed = new Float32Array(items.length * elementCount(input.shape));
    for (const [row, item] of items.entries()) feed.set(item.data, row * item.data.length);
    const feeds = { [input.name]: tensor('float32', [items.length, ...input.shape], feed) };
    const result = (await this.session.run(feeds, [output.name]))[output.name];
    const size = elementCount(output.shape);
    if (result?.dtype !== 'float32' || result.data.length !== items.length * size) {
      throw new TesseraError('INTERNAL', `the graph gave ${output.name} of an unexpected shape or type`);
    }
    const data = result.data as Float32Array;
    return items.map((_, row) => tensor('float32', output.shape, data.subarray(row * size, (row + 1) * size)));
  }
}
