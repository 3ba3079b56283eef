import { Worker } from 'node:worker_threads';
import { TesseraError } from '@tessera/protocol';
import { type AnswerMessage, closeMethod, type EngineCalls, fromWireError, readyId } from './engine-thread-messages.js';

interface Pending {
  resolve(output: unknown): void;
  reject(error: TesseraError): void;
}

/**
 * An engine in a worker thread of its own, since a graph's run blocks the thread that calls it. The thread's module calls
 * `hostEngine`. Calls are answered in order.
 */
export class EngineThread<Calls extends EngineCalls> {
  /** Resolves, with what ended it, when the thread ends without `close`; the service should exit then. */
  readonly crashed: Promise<TesseraError>;

  private readonly pending = new Map<number, Pending>();
  private readonly exited: Promise<void>;
  private nextId = readyId + 1;
  private closing: Promise<void> | undefined;
  private failure: TesseraError | undefined;

  private constructor(
    private readonly worker: Worker,
    private readonly name: string,
  ) {
    let cause: unknown;
    worker.on('message', (message: AnswerMessage) => this.settle(message));
    worker.on('error', (error) => {
      cause = error;
    });
    let crash: (error: TesseraError) => void;
    this.crashed = new Promise((resolve) => {
      crash = resolve;
    });
    this.exited = new Promise((resolve) => {
      worker.once('exit', (exitCode) => {
        const why = cause instanceof Error ? cause.message : `exit code ${exitCode}`;
        // Retryable: the work is good, another replica will do it.
        this.failure = new TesseraError('STAGE_UNAVAILABLE', `the thread ${name} ended: ${why}`, { cause });
        for (const pending of this.pending.values()) pending.reject(this.failure);
        this.pending.clear();
        if (this.closing === undefined) crash(this.failure);
        resolve();
      });
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
    options: { readonly name: string; readonly init: unknown },
  ): Promise<EngineThread<Calls>> {
    const worker = new Worker(entry, { name: options.name, workerData: options.init });
    const thread = new EngineThread<Calls>(worker, options.name);
    await new Promise<unknown>((resolve, reject) => thread.pending.set(readyId, { resolve, reject }));
    return thread;
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
    if (this.closing !== undefined) {
      return Promise.reject(new TesseraError('DRAINING', `the thread ${this.name} was closed`));
    }
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, input }, transfer);
    });
  }

  /** Lets the calls under way end, frees the engine and ends the thread. */
  close(): Promise<void> {
    if (this.closing === undefined) {
      this.closing = this.exited;
      if (this.failure === undefined) this.worker.postMessage({ id: this.nextId++, method: closeMethod });
    }
    return this.closing;
  }

  private settle({ id, output, error }: AnswerMessage): void {
    const pending = this.pending.get(id);
    if (pending === undefined) return;
    this.pending.delete(id);
    if (error === undefined) pending.resolve(output);
    else pending.reject(fromWireError(error));
  }
}
