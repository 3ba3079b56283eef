import { TesseraError } from '@tessera/protocol';
import { hostEngine } from '../thread/engine-thread-host.js';

/** The calls of the engine below, which engine-thread.test.ts starts in a thread. */
export type EchoCalls = {
  double: { input: Float32Array; output: Float32Array };
  fail: { input: string; output: never };
  crash: { input: undefined; output: never };
};

await hostEngine<{ readonly refuse: boolean }, EchoCalls>(async ({ refuse }) => {
  if (refuse) throw new TesseraError('CHECKPOINT_INVALID', 'this engine cannot be made');
  return {
    calls: {
      double: async (numbers) => {
        const output = numbers.map((number) => 2 * number);
        return { output, transfer: [output.buffer] };
      },
      fail: async (message) => {
        throw new TesseraError('QUEUE_FULL', message, { retryAfterMs: 7 });
      },
      crash: () =>
        new Promise(() => {
          setImmediate(() => {
            throw new Error('the engine broke');
          });
        }),
    },
    close: async () => {},
  };
});
