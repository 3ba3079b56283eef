import { TesseraError } from '@tessera/protocol';
import type { BoundSessionOptions } from '../bound/bound-session.js';
import type { DriverBinding, DriverMemory, GraphDriver } from '../bound/graph-driver.js';
import type { TensorPort } from '../bound/placed-tensor.js';
import { NativeBinding } from './native-binding.js';
import { NativeMemory } from './native-memory.js';
import type { OrtApi } from './ort-api.js';
import type { Pointer } from './ort-functions.js';
import { readPorts } from './read-ports.js';

/** OrtAllocatorType and OrtMemType of CreateMemoryInfo. */
const deviceAllocator = 0;
const defaultMemory = 0;

interface SessionPorts {
  readonly inputs: readonly TensorPort[];
  readonly outputs: readonly TensorPort[];
}

/** Runs a graph through ONNX Runtime's C API. */
export class NativeDriver implements GraphDriver {
  readonly backend = 'native';
  readonly inputs: readonly TensorPort[];
  readonly outputs: readonly TensorPort[];
  readonly #api: OrtApi;
  readonly #options: BoundSessionOptions;
  readonly #session: Pointer;
  readonly #hostMemory: Pointer;
  readonly #deviceMemory: Pointer;
  readonly #allocator: Pointer;

  private constructor(api: OrtApi, options: BoundSessionOptions, session: Pointer, ports: SessionPorts) {
    const { functions } = api;
    this.#api = api;
    this.#options = options;
    this.#session = session;
    this.inputs = ports.inputs;
    this.outputs = ports.outputs;
    const memoryInfo = (name: string): Pointer =>
      api.make((out) => functions.CreateMemoryInfo(name, deviceAllocator, 0, defaultMemory, out));
    this.#hostMemory = memoryInfo('Cpu');
    this.#deviceMemory = memoryInfo(options.device === 'cuda' ? 'Cuda' : 'Cpu');
    this.#allocator = api.make((out) => functions.CreateAllocator(session, this.#deviceMemory, out));
  }

  /** @throws TesseraError CHECKPOINT_INVALID when the graph cannot be loaded, CONFIG_INVALID when the device is not there */
  static open(api: OrtApi, graphPath: string, options: BoundSessionOptions): NativeDriver {
    const session = createSession(api, graphPath, options);
    try {
      const ports = { inputs: readPorts(api, session, 'input'), outputs: readPorts(api, session, 'output') };
      return new NativeDriver(api, options, session, ports);
    } catch (reason) {
      api.functions.ReleaseSession(session);
      throw reason;
    }
  }

  createBinding(): DriverBinding {
    return new NativeBinding({
      api: this.#api,
      session: this.#session,
      hostMemory: this.#hostMemory,
      deviceMemory: this.#deviceMemory,
      copiesArrays: this.#options.device !== 'cpu',
      inPool: this.#options.runs === 'in-pool',
      yields: this.#options.yields ?? true,
    });
  }

  allocate(bytes: number): DriverMemory {
    try {
      return new NativeMemory(this.#api, this.#allocator, bytes);
    } catch (cause) {
      throw new TesseraError('INTERNAL', `there is no memory for ${bytes} bytes: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  async release(): Promise<void> {
    const { functions } = this.#api;
    functions.ReleaseAllocator(this.#allocator);
    functions.ReleaseSession(this.#session);
    functions.ReleaseMemoryInfo(this.#hostMemory);
    functions.ReleaseMemoryInfo(this.#deviceMemory);
  }
}

function createSession(api: OrtApi, graphPath: string, { threads, device }: BoundSessionOptions): Pointer {
  const { functions } = api;
  const options = api.make((out) => functions.CreateSessionOptions(out));
  try {
    api.check(functions.SetIntraOpNumThreads(options, threads));
    api.check(functions.SetInterOpNumThreads(options, 1));
    // A spinning pool takes the core that another stage on the same node needs.
    api.check(functions.AddSessionConfigEntry(options, 'session.intra_op.allow_spinning', '0'));
    if (device === 'cuda') appendCuda(api, options);
    try {
      return api.make((out) => functions.CreateSession(api.env, graphPath, options, out));
    } catch (cause) {
      throw new TesseraError('CHECKPOINT_INVALID', (cause as Error).message, { cause });
    }
  } finally {
    functions.ReleaseSessionOptions(options);
  }
}

/** Never run as far as a graph: nothing here has a GPU, and the tests see it refused. */
function appendCuda(api: OrtApi, options: Pointer): void {
  const { functions } = api;
  const cuda = api.make((out) => functions.CreateCUDAProviderOptions(out));
  try {
    // A cache that takes half of the device must not have its arena rounded up to all of it.
    api.check(functions.UpdateCUDAProviderOptions(cuda, ['arena_extend_strategy'], ['kSameAsRequested'], 1));
    api.check(functions.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda));
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `the device cuda cannot be used: ${(cause as Error).message}`, { cause });
  } finally {
    functions.ReleaseCUDAProviderOptions(cuda);
  }
}
