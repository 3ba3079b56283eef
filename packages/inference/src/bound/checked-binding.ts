import { TesseraError } from '@tessera/protocol';
import type { Binding } from './bound-session.js';
import { checkPlace, checkTensor } from './check-tensor.js';
import type { DriverBinding, DriverTensor, GraphDriver } from './graph-driver.js';
import { HeldMemory } from './held-memory.js';
import type { PlacedTensor, TensorPort } from './placed-tensor.js';

export interface CheckedBindingOptions {
  readonly driver: GraphDriver;
  /** Runs it when it is its turn. @throws TesseraError DRAINING when there are no more turns */
  takeTurn(call: () => Promise<void>): Promise<void>;
  onReleased(binding: CheckedBinding): void;
}

type Side = 'input' | 'output';

/** Keeps what is bound in memory, and refuses what would have a driver read or write elsewhere. */
export class CheckedBinding implements Binding {
  readonly #options: CheckedBindingOptions;
  readonly #inner: DriverBinding;
  readonly #bound = {
    input: new Map<string, PlacedTensor>(),
    output: new Map<string, PlacedTensor>(),
  };
  #running: Promise<void> | undefined;
  #released: Promise<void> | undefined;

  constructor(options: CheckedBindingOptions) {
    this.#options = options;
    this.#inner = options.driver.createBinding();
  }

  bindInputs(tensors: Readonly<Record<string, PlacedTensor>>): void {
    this.#bind('input', tensors);
  }

  bindOutputs(tensors: Readonly<Record<string, PlacedTensor>>): void {
    this.#bind('output', tensors);
  }

  run(): Promise<void> {
    if (this.#released !== undefined) return Promise.reject(new TesseraError('DRAINING', 'the binding was released'));
    if (this.#running !== undefined) return Promise.reject(new TesseraError('INTERNAL', 'the binding is running'));
    const running = this.#options.takeTurn(() => this.#compute());
    this.#running = running.then(this.#onEnded, this.#onEnded);
    return running;
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  #bind(side: Side, tensors: Readonly<Record<string, PlacedTensor>>): void {
    if (this.#released !== undefined) throw new TesseraError('DRAINING', 'the binding was released');
    if (this.#running !== undefined) throw new TesseraError('INTERNAL', 'nothing can be bound while the graph runs');
    const ports = side === 'input' ? this.#options.driver.inputs : this.#options.driver.outputs;
    const changed = Object.entries(tensors).filter(([name, tensor]) => this.#bound[side].get(name) !== tensor);
    for (const [name, tensor] of changed) checkTensor(this.#options.driver, portOf(ports, side, name), tensor);
    for (const [name, tensor] of changed) {
      const place = placeOf(tensor);
      if (side === 'input') this.#inner.bindInput(name, place);
      else this.#inner.bindOutput(name, place);
      this.#bound[side].set(name, tensor);
    }
  }

  async #compute(): Promise<void> {
    for (const { name } of this.#options.driver.inputs) {
      if (!this.#bound.input.has(name)) throw new TesseraError('TENSOR_INVALID', `the input ${name} is not bound`);
    }
    if (this.#bound.output.size === 0) throw new TesseraError('TENSOR_INVALID', 'no output is bound');
    const bound = [...this.#bound.input, ...this.#bound.output];
    // Again: an array may have been transferred away, and memory released, since it was bound.
    for (const [name, tensor] of bound) checkPlace(name, tensor);
    const memories = bound.flatMap(([, tensor]) =>
      'memory' in tensor && tensor.memory instanceof HeldMemory ? [tensor.memory] : [],
    );
    for (const memory of memories) memory.hold();
    try {
      await this.#inner.run();
    } finally {
      for (const memory of memories) memory.letGo();
    }
  }

  readonly #onEnded = (): void => {
    this.#running = undefined;
  };

  async #release(): Promise<void> {
    await this.#running;
    this.#inner.release();
    this.#bound.input.clear();
    this.#bound.output.clear();
    this.#options.onReleased(this);
  }
}

function portOf(ports: readonly TensorPort[], side: Side, name: string): TensorPort {
  const port = ports.find((each) => each.name === name);
  if (port === undefined) throw new TesseraError('TENSOR_INVALID', `the graph has no ${side} ${name}`);
  return port;
}

function placeOf(tensor: PlacedTensor): DriverTensor {
  if ('data' in tensor) return tensor;
  const { dtype, shape, memory, byteOffset } = tensor;
  return { dtype, shape, memory: (memory as HeldMemory).inner, byteOffset };
}
