import type { Bus, JobContext } from '@tessera/bus';
import type { BatchedGraph } from '@tessera/inference';
import { type ConnectJob, connectQueue, TesseraError, visualTokens } from '@tessera/protocol';
import { jobTiming } from '@tessera/stage';

/** Does connect jobs: from one tile's features to its visual tokens, sent to the LLM engine that waits for them. */
export function connectJobHandler(bus: Bus, tiles: BatchedGraph) {
  return async ({ key, tile, features, encoder }: ConnectJob, context: JobContext): Promise<void> => {
    if (key === undefined || features === undefined) {
      throw new TesseraError('REQUEST_INVALID', 'a connect job needs key and features');
    }
    const { signal, deadlineMs, deliverTo } = context;
    const readFrom = performance.now();
    const coming = tiles.announce();
    const input = await context.waits(bus.takeTensor(features, signal)).finally(() => coming[Symbol.dispose]());
    const readMs = performance.now() - readFrom;
    const { result, queueMs, busyMs } = await tiles.run(input.tensor, signal);
    const timing = jobTiming(connectQueue, context, { queueMs, busyMs: readMs + busyMs });
    const timings = encoder === undefined ? [timing] : [encoder, timing];
    // A full stream is the engine's work to empty.
    const content = { key, tile, tensor: result, timings };
    await context.waits(bus.send(visualTokens, content, { deadlineMs, signal, deliverTo }));
    await input.taken();
  };
}
