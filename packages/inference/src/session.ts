// First: it must be evaluated before the library is loaded.
import './no-telemetry.js';
import { type DType, type Tensor, TesseraError, tensor } from '@tessera/protocol';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { openSession } from './node/open-session.js';
import { elementsOf, ortTensor } from './node/ort-tensor.js';
import type { SessionOptions } from './session-options.js';

/**
 * A loaded ONNX graph whose `run` takes arrays and gives arrays, for graphs that keep nothing between runs: what it copies
 * is small beside what they compute (encoder, connector and generator of the demo model take within 2 % of the CPU time that
 * they take over a BoundSession, at batches of 1 and 8). See BoundSession for memory that stays in place. `run` blocks the
 * thread it is called on (ONNX Runtime's Node binding is synchronous), so a session belongs to a worker thread that serves
 * nothing else.
 */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Runs the graph; `fetches` names the outputs to compute (every fetched output is copied out). */
  run(feeds: Readonly<Record<string, Tensor>>, fetches: readonly string[]): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

class OrtSession implements Session {
  constructor(private readonly inner: InferenceSession) {}

  get inputNames(): readonly string[] {
    return this.inner.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.inner.outputNames;
  }

  async run(feeds: Readonly<Record<string, Tensor>>, fetches: readonly string[]): Promise<Record<string, Tensor>> {
    const inputs: Record<string, OrtTensor> = {};
    for (const [name, value] of Object.entries(feeds)) {
      inputs[name] = ortTensor(value);
    }
    const results = await this.inner.run(inputs, fetches as string[]);
    const outputs: Record<string, Tensor> = {};
    for (const name of fetches) {
      const result = results[name];
      if (result === undefined) throw new TesseraError('INTERNAL', `the graph gave no output ${name}`);
      outputs[name] = tensor(result.type as DType, result.dims, elementsOf(result) as Float32Array);
    }
    return outputs;
  }

  async release(): Promise<void> {
    await this.inner.release();
  }
}

/** Loads an ONNX graph. The path is kept open by name: external data lies beside the file. */
export async function createSession(graphPath: string, options: SessionOptions): Promise<Session> {
  return new OrtSession(await openSession(graphPath, options));
}
