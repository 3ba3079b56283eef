import type { BoundSession } from '@tessera/inference';

/** A real session, before each of whose runs something is waited for, which may fail: what no input can be made to do. */
export function withRun(inner: BoundSession, before: () => Promise<void>): BoundSession {
  return {
    backend: inner.backend,
    fallbackReason: inner.fallbackReason,
    inputs: inner.inputs,
    outputs: inner.outputs,
    createBinding: () => {
      const binding = inner.createBinding();
      return {
        bindInputs: (tensors) => binding.bindInputs(tensors),
        bindOutputs: (tensors) => binding.bindOutputs(tensors),
        run: async () => {
          await before();
          await binding.run();
        },
        release: () => binding.release(),
      };
    },
    allocate: (bytes) => inner.allocate(bytes),
    close: () => inner.close(),
  };
}
