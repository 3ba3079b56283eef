import { bytesPerElement, elementCount, TesseraError } from '@tessera/protocol';
import type { DriverBinding, DriverTensor } from '../bound/graph-driver.js';
import { elementTypes } from './element-types.js';
import type { NativeMemory } from './native-memory.js';
import type { OrtApi } from './ort-api.js';
import type { Pointer } from './ort-functions.js';

export interface NativeBindingOptions {
  readonly api: OrtApi;
  readonly session: Pointer;
  /** Where arrays lie, and where the session's device memory lies: OrtMemoryInfo. */
  readonly hostMemory: Pointer;
  readonly deviceMemory: Pointer;
  /** Whether ONNX Runtime copies an array to its device when it is bound: it must then be bound anew for each run. */
  readonly copiesArrays: boolean;
  /** Whether runs leave this thread. */
  readonly inPool: boolean;
  /** Whether the event loop turns before each run. */
  readonly yields: boolean;
}

type Side = 'input' | 'output';

/** An IoBinding of ONNX Runtime and the values that are bound to it. */
export class NativeBinding implements DriverBinding {
  readonly #options: NativeBindingOptions;
  readonly #binding: Pointer;
  readonly #values: Readonly<Record<Side, Map<string, Pointer>>> = { input: new Map(), output: new Map() };
  readonly #arrays = new Set<string>();

  constructor(options: NativeBindingOptions) {
    this.#options = options;
    const { api, session } = options;
    this.#binding = api.make((out) => api.functions.CreateIoBinding(session, out));
  }

  bindInput(name: string, tensor: DriverTensor): void {
    const { functions } = this.#options.api;
    this.#bind('input', name, tensor, (value) => functions.BindInput(this.#binding, name, value));
    if ('data' in tensor) this.#arrays.add(name);
    else this.#arrays.delete(name);
  }

  bindOutput(name: string, tensor: DriverTensor): void {
    const { functions } = this.#options.api;
    this.#bind('output', name, tensor, (value) => functions.BindOutput(this.#binding, name, value));
  }

  async run(): Promise<void> {
    const { api, copiesArrays, inPool, yields } = this.#options;
    if (yields) await new Promise(setImmediate);
    try {
      if (copiesArrays) this.#bindArraysAnew();
      api.check(inPool ? await this.#runInPool() : this.#runHere());
    } catch (cause) {
      throw new TesseraError('INTERNAL', `the graph failed: ${(cause as Error).message}`, { cause });
    }
  }

  release(): void {
    const { functions } = this.#options.api;
    functions.ReleaseIoBinding(this.#binding);
    for (const values of Object.values(this.#values)) {
      for (const value of values.values()) functions.ReleaseValue(value);
      values.clear();
    }
  }

  #runHere(): Pointer {
    const { api, session } = this.#options;
    return api.functions.RunWithBinding(session, null, this.#binding);
  }

  #runInPool(): Promise<Pointer> {
    const { api, session } = this.#options;
    return new Promise((resolve, reject) => {
      api.functions.RunWithBinding.async(session, null, this.#binding, (error, status) => {
        if (error) reject(error);
        else resolve(status);
      });
    });
  }

  #bindArraysAnew(): void {
    const { api } = this.#options;
    for (const name of this.#arrays) {
      api.check(api.functions.BindInput(this.#binding, name, this.#values.input.get(name) ?? null));
    }
  }

  #bind(side: Side, name: string, tensor: DriverTensor, bind: (value: Pointer) => Pointer): void {
    const { api } = this.#options;
    const value = this.#createValue(tensor);
    try {
      api.check(bind(value));
    } catch (cause) {
      api.functions.ReleaseValue(value);
      throw new TesseraError('INTERNAL', `${name} could not be bound: ${(cause as Error).message}`, { cause });
    }
    // The binding holds the value that it was given by a count of its own.
    const before = this.#values[side].get(name);
    if (before !== undefined) api.functions.ReleaseValue(before);
    this.#values[side].set(name, value);
  }

  /** An OrtValue over the tensor's own memory. */
  #createValue(tensor: DriverTensor): Pointer {
    const { api, hostMemory, deviceMemory } = this.#options;
    const { dtype, shape } = tensor;
    const bytes = elementCount(shape) * bytesPerElement[dtype];
    // An array stays where it is: a small one leaves V8's own heap, which moves things, when Node-API asks for its address.
    const place = 'data' in tensor ? tensor.data : (tensor.memory as NativeMemory).address + BigInt(tensor.byteOffset);
    const memoryInfo = 'data' in tensor ? hostMemory : deviceMemory;
    return api.make((out) =>
      api.functions.CreateTensorWithDataAsOrtValue(
        memoryInfo,
        place,
        bytes,
        BigInt64Array.from(shape, BigInt),
        shape.length,
        elementTypes[dtype],
        out,
      ),
    );
  }
}
