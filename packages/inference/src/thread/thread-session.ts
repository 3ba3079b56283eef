import type { Tensor, TesseraError } from '@tessera/protocol';
import type { Session } from '../session.js';
import type { SessionOptions } from '../session-options.js';
import { EngineThread } from './engine-thread.js';

/** What the thread is started with. */
export interface SessionInit {
  readonly graphPath: string;
  readonly options: SessionOptions;
}

type Tensors = Readonly<Record<string, Tensor>>;

/** What a session in a thread answers. */
export type SessionCalls = {
  names: { input: undefined; output: { readonly inputs: readonly string[]; readonly outputs: readonly string[] } };
  run: { input: { readonly feeds: Tensors; readonly fetches: readonly string[] }; output: Record<string, Tensor> };
};

/** A session whose graph runs in a thread of its own. */
export interface ThreadSession extends Session {
  /** Resolves when the thread ends without `release`. */
  readonly crashed: Promise<TesseraError>;
}

/**
 * The buffers that can move instead of being copied: those that a tensor fills wholly. A view into a larger buffer is
 * copied, so that its neighbours stay where they are.
 */
export function movableBuffers(tensors: Tensors): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of Object.values(tensors)) {
    if (data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength) buffers.add(data.buffer);
  }
  return [...buffers];
}

/**
 * Loads an ONNX graph in a worker thread, so that running it does not block the caller's thread. `run` moves the feeds'
 * buffers to the thread: they are empty afterwards, so make them for the call.
 * @param name the thread's name in errors: "encoder"
 * @throws TesseraError when the graph cannot be loaded
 */
export async function createThreadSession(
  name: string,
  graphPath: string,
  options: SessionOptions,
): Promise<ThreadSession> {
  const init: SessionInit = { graphPath, options };
  const entry = new URL('./thread-session-main.js', import.meta.url);
  const thread = await EngineThread.start<SessionCalls>(entry, { name, init });
  const { inputs, outputs } = await thread.call('names', undefined);
  return {
    inputNames: inputs,
    outputNames: outputs,
    crashed: thread.crashed,
    run: (feeds, fetches) => thread.call('run', { feeds, fetches }, movableBuffers(feeds)),
    release: () => thread.close(),
  };
}
