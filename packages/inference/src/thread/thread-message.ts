import type { WireError } from './wire-error.js';

/** From a worker thread to the one that started it: what became of its start, and then its news. */
export type ThreadMessage<News> =
  | { readonly type: 'ready' }
  /** What the thread was to host could not be made; the thread ends. */
  | { readonly type: 'refused'; readonly error: WireError }
  | { readonly type: 'news'; readonly news: News };
