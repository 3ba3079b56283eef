/**
 * Told of every wait for something that others hold: memory, or a place where drawings are made. It is handed the wait
 * and gives its result; meanwhile whoever asked computes nothing, and may let others have its own place.
 */
export type WhileWaiting = <T>(wait: Promise<T>) => Promise<T>;

/** For callers that hold nothing which others could use. */
export const justWait: WhileWaiting = (wait) => wait;
