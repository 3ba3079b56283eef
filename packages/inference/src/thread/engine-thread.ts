import { TesseraError } from '@tessera/protocol';
import { type AnswerMessage, type CallMessage, closeMethod, type EngineCalls } from './engine-calls.js';
import { fromWireError } from './wire-error.js';
import { WorkerThread } from './worker-thread.js';

interface Pending {
  resolve(output: unknown): void;
  reject(error: TesseraError): void;
}

/**
 * An engine in a worker thread of its own, since a graph's run blocks the thread that calls it. The thread's module calls
 * `hostEngine`. Calls are answered in order.
 */
export class EngineThread<Calls extends EngineCalls> {
  private readonly pending = new Map<number, Pending>();
  private readonly thread: WorkerThread<CallMessage, AnswerMessage>;
  private nextId = 1;

  private constructor(
    entry: URL,
    private readonly name: string,
    init: unknown,
  ) {
    this.thread = new WorkerThread(entry, {
      name,
      init,
      onNews: (answer) => this.settle(answer),
      onEnd: (failure) => {
        for (const pending of this.pending.values()) pending.reject(failure);
        this.pending.clear();
      },
    });
  }

  /**
   * Starts the thread and waits until its engine is made.
   * @param entry the thread's module, built JavaScript
   * @param init what the engine is made from, structured-cloneable
   * @throws TesseraError what making the engine failed with
   */
  static async start<Calls extends EngineCalls>(
    entry: URL,
    { name, init }: { readonly name: string; readonly init: unknown },
  ): Promise<EngineThread<Calls>> {
    const engine = new EngineThread<Calls>(entry, name, init);
    await engine.thread.ready;
    return engine;
  }

  /** Resolves, with what ended it, when the thread ends without `close`; the service should exit then. */
  get crashed(): Promise<TesseraError> {
    return this.thread.crashed;
  }

  /**
   * Has the engine do something.
   * @param transfer buffers of the input that move to the thread: they are empty here afterwards
   * @throws TesseraError what the call failed with; STAGE_UNAVAILABLE when the thread has ended
   */
  call<Name extends keyof Calls & string>(
    method: Name,
    input: Calls[Name]['input'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Calls[Name]['output']> {
    const { failure, isEnding } = this.thread;
    if (isEnding) return Promise.reject(new TesseraError('DRAINING', `the thread ${this.name} was closed`));
    if (failure !== undefined) return Promise.reject(failure);
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.pending.set(id, { resolve, reject });
      this.thread.send({ id, method, input }, transfer);
    });
  }

  /** Lets the calls under way end, frees the engine and ends the thread. */
  close(): Promise<void> {
    return this.thread.end({ id: this.nextId++, method: closeMethod, input: undefined });
  }

  private settle({ id, output, error }: AnswerMessage): void {
    const pending = this.pending.get(id);
    if (pending === undefined) return;
    this.pending.delete(id);
    if (error === undefined) pending.resolve(output);
    else pending.reject(fromWireError(error));
  }
}
