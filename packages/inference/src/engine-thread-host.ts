import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { TesseraError } from '@tessera/protocol';
import { type CallMessage, closeMethod, type EngineCalls, readyId, toWireError } from './engine-thread-messages.js';

/** What a call gives back, with the buffers that move to the caller instead of being copied. */
export interface Answer<Output> {
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
export async function hostEngine<Init, Calls extends EngineCalls>(
  create: (init: Init) => Promise<HostedEngine<Calls>>,
): Promise<void> {
  if (parentPort === null) throw new TesseraError('INTERNAL', 'an engine is hosted in a worker thread only');
  const port = parentPort;
  let engine: HostedEngine<Calls>;
  try {
    engine = await create(workerData as Init);
  } catch (reason) {
    port.postMessage({ id: readyId, error: toWireError(reason) });
    port.close();
    return;
  }
  let last = Promise.resolve();
  port.on('message', (message: CallMessage) => {
    last = last.then(() => answer(port, engine, message));
  });
  port.postMessage({ id: readyId });
}

async function answer<Calls extends EngineCalls>(
  port: MessagePort,
  engine: HostedEngine<Calls>,
  { id, method, input }: CallMessage,
): Promise<void> {
  try {
    if (method === closeMethod) {
      await engine.close();
      // Without an open port nothing keeps the thread alive, and it ends by itself.
      port.close();
      return;
    }
    const call = engine.calls[method];
    if (call === undefined) throw new TesseraError('INTERNAL', `the engine has no call ${method}`);
    const { output, transfer = [] } = await call(input);
    port.postMessage({ id, output }, transfer);
  } catch (reason) {
    port.postMessage({ id, error: toWireError(reason) });
  }
}
