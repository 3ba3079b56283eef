import { type ConnectJob, TesseraError } from '@tessera/protocol';
import type { Bus, JobContext } from '@tessera/runtime';
import type { ConnectorEngine } from './engine.js';

/** Does connect jobs: from one tile's features to its visual tokens on the stream that the LLM engine reads. */
export function connectJobHandler(bus: Bus, engine: ConnectorEngine) {
  return async ({ key, tile, features, encoder }: ConnectJob, context: JobContext): Promise<void> => {
    if (key === undefined || features === undefined) {
      throw new TesseraError('REQUEST_INVALID', 'a connect job needs key and features');
    }
    const { signal, deadlineMs } = context;
    const readFrom = performance.now();
    const coming = engine.announce();
    const input = await bus.readFeatures(key, tile, features, signal).finally(() => coming[Symbol.dispose]());
    const readMs = performance.now() - readFrom;
    const { result, queueMs, busyMs } = await engine.connect(input, signal);
    const timing = {
      stage: 'connector',
      queueMs: context.queueMs + queueMs,
      busyMs: readMs + busyMs,
      endedAtMs: Date.now(),
    };
    const timings = encoder === undefined ? [timing] : [encoder, timing];
    await bus.publishTensor('tokens', key, tile, result, { deadlineMs, signal, timings });
  };
}
