import { tensor } from '@tessera/protocol';
import type { BoundSession, BoundSessionOptions, InferenceBackend } from '../bound/bound-session.js';
import { createBoundSession } from '../bound/create-bound-session.js';
import { hostEngine } from '../thread/engine-thread-host.js';

export interface BoundEngineInit {
  /** Of the graph `arithmetic`. */
  readonly graphPath: string;
  readonly options: BoundSessionOptions;
}

/** The calls of the engine below, which thread.test.ts starts in threads. */
export type BoundEngineCalls = {
  backend: { input: undefined; output: InferenceBackend };
  /** Adds 1 to each of three numbers so many times, in place. */
  count: { input: { readonly start: Float32Array; readonly times: number }; output: Float32Array };
  /** Begins a run and ends the thread in the midst of it. */
  crash: { input: undefined; output: never };
};

/** Three numbers that a run makes greater by one each. */
function counter(session: BoundSession, start: Float32Array) {
  const numbers = tensor('float32', [1, 3], Float32Array.from(start));
  const binding = session.createBinding();
  binding.bindInputs({ x: numbers, y: tensor('float32', [1, 3], Float32Array.of(1, 1, 1)) });
  binding.bindOutputs({ sum: numbers });
  return { binding, numbers: numbers.data };
}

await hostEngine<BoundEngineInit, BoundEngineCalls>(async ({ graphPath, options }) => {
  const session = await createBoundSession(graphPath, options);
  return {
    calls: {
      backend: async () => ({ output: session.backend }),
      count: async ({ start, times }) => {
        const { binding, numbers } = counter(session, start);
        for (let time = 0; time < times; time++) await binding.run();
        await binding.release();
        return { output: numbers, transfer: [numbers.buffer as ArrayBuffer] };
      },
      crash: async () => {
        void counter(session, new Float32Array(3)).binding.run();
        setImmediate(() => {
          throw new Error('the engine broke');
        });
        return new Promise(() => {});
      },
    },
    close: () => session.close(),
  };
});
