import { createSession } from '../session.js';
import { hostEngine } from './engine-thread-host.js';
import { movableBuffers, type SessionCalls, type SessionInit } from './thread-session.js';

await hostEngine<SessionInit, SessionCalls>(async ({ graphPath, options }) => {
  const session = await createSession(graphPath, options);
  return {
    calls: {
      names: async () => ({ output: { inputs: session.inputNames, outputs: session.outputNames } }),
      run: async ({ feeds, fetches }) => {
        const output = await session.run(feeds, fetches);
        return { output, transfer: movableBuffers(output) };
      },
    },
    close: () => session.release(),
  };
});
