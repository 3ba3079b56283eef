import { Worker } from 'node:worker_threads';
import { TesseraError } from '@tessera/protocol';
import type { ThreadMessage } from './thread-message.js';
import { fromWireError } from './wire-error.js';

export interface WorkerThreadOptions<News> {
  /** The thread's name, in errors too. */
  readonly name: string;
  /** What the thread makes its host from, structured-cloneable. */
  readonly init: unknown;
  onNews(news: News): void;
  /** Told once, when the thread has ended, whatever ended it: its work is lost. */
  onEnd(failure: TesseraError): void;
}

/**
 * The life of a worker thread, for whatever it hosts: it gets ready or refuses, takes commands, tells news, and ends, when
 * it is told to or by a crash. The thread's module calls `hostInThread`.
 */
export class WorkerThread<Command, News> {
  /** Resolves when the thread takes commands. Rejects with a TesseraError: what making its host failed with. */
  readonly ready: Promise<void>;
  /** Resolves, with what ended it, when the thread ends without `end`; the service must exit then. */
  readonly crashed: Promise<TesseraError>;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #isEnding = false;
  #failure: TesseraError | undefined;

  /** @param entry the thread's module, built JavaScript */
  constructor(entry: URL, { name, init, onNews, onEnd }: WorkerThreadOptions<News>) {
    const worker = new Worker(entry, { name, workerData: init });
    const [ready, crashed, exited] = [deferred<void>(), deferred<TesseraError>(), deferred<void>()];
    this.#worker = worker;
    this.ready = ready.promise;
    this.crashed = crashed.promise;
    this.#exited = exited.promise;
    worker.on('message', (message: ThreadMessage<News>) => {
      if (message.type === 'news') onNews(message.news);
      else if (message.type === 'ready') ready.resolve();
      else ready.reject(fromWireError(message.error));
    });
    let cause: unknown;
    worker.on('error', (error) => {
      cause = error;
    });
    worker.once('exit', (exitCode) => {
      const why = cause instanceof Error ? cause.message : `exit code ${exitCode}`;
      // Retryable: the work is good, another replica will do it.
      const failure = new TesseraError('STAGE_UNAVAILABLE', `the thread ${name} ended: ${why}`, { cause });
      this.#failure = failure;
      ready.reject(failure);
      onEnd(failure);
      if (!this.#isEnding) crashed.resolve(failure);
      exited.resolve();
    });
  }

  /** What ended the thread; undefined while it lives. */
  get failure(): TesseraError | undefined {
    return this.#failure;
  }

  /** Whether `end` was called. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /**
   * Sends a command; nothing happens where the thread has ended.
   * @param transfer buffers of the command that move to the thread: they are empty here afterwards
   */
  send(command: Command, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#failure === undefined) this.#worker.postMessage(command, transfer);
  }

  /** Sends the command that the thread ends by. Resolves when it has ended. */
  end(last: Command): Promise<void> {
    if (!this.#isEnding) this.send(last);
    this.#isEnding = true;
    return this.#exited;
  }
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (reason: TesseraError) => void = () => {};
  const promise = new Promise<T>((onValue, onReason) => {
    resolve = onValue;
    reject = onReason;
  });
  return { promise, resolve, reject };
}
