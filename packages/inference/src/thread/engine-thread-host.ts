import { TesseraError } from '@tessera/protocol';
import { type AnswerMessage, type CallMessage, closeMethod, type EngineCalls } from './engine-calls.js';
import { toWireError } from './wire-error.js';
import { type HostPort, hostInThread } from './worker-thread-host.js';

/** What a call gives back, with the buffers that move to the caller instead of being copied. */
interface Answer<Output> {
  readonly output: Output;
  readonly transfer?: readonly ArrayBuffer[];
}

export interface HostedEngine<Calls extends EngineCalls> {
  readonly calls: { [Name in keyof Calls]: (input: Calls[Name]['input']) => Promise<Answer<Calls[Name]['output']>> };
  /** Frees what the engine holds, before the thread ends. */
  close(): Promise<void>;
}

/**
 * The thread's side of `EngineThread`: makes the engine from the data that the thread was started with and answers calls,
 * one after the other. An error inside a call goes to its caller; one outside ends the thread.
 */
export function hostEngine<Init, Calls extends EngineCalls>(
  create: (init: Init) => Promise<HostedEngine<Calls>>,
): Promise<void> {
  return hostInThread<Init, CallMessage, AnswerMessage>(async (init, port) => {
    const engine = await create(init);
    let last = Promise.resolve();
    return (message) => {
      last = last.then(() => answer(port, engine, message));
    };
  });
}

async function answer<Calls extends EngineCalls>(
  port: HostPort<AnswerMessage>,
  engine: HostedEngine<Calls>,
  { id, method, input }: CallMessage,
): Promise<void> {
  try {
    if (method === closeMethod) {
      // Whatever becomes of it, the thread ends: whoever closes waits for that.
      await engine.close().finally(() => port.end());
      return;
    }
    const call = engine.calls[method];
    if (call === undefined) throw new TesseraError('INTERNAL', `the engine has no call ${method}`);
    const { output, transfer } = await call(input);
    port.tell({ id, output }, transfer);
  } catch (reason) {
    port.tell({ id, error: toWireError(reason) });
  }
}
