import { setMaxListeners } from 'node:events';

/** A controller that a parent signal aborts too. Dispose of it, so that the parent holds nothing of finished work. */
export interface LinkedAbort extends Disposable {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

/**
 * Very many may wait for its signal at once, all parts of a picture and all pictures of a request: that is no leak, and is
 * not warned of as one. (AbortSignal.any keeps what it joins alive until it fires.)
 */
export function linkedAbort(parent?: AbortSignal): LinkedAbort {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const onParentAbort = (): void => controller.abort(parent?.reason);
  if (parent?.aborted) onParentAbort();
  else parent?.addEventListener('abort', onParentAbort, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]: () => parent?.removeEventListener('abort', onParentAbort),
  };
}
