// First: it must be evaluated before the library is loaded.
import '../no-telemetry.js';
import { InferenceSession } from 'onnxruntime-node';
import type { SessionOptions } from '../session-options.js';

/** Loads a graph by onnxruntime-node. */
export function openSession(graphPath: string, { threads, device }: SessionOptions): Promise<InferenceSession> {
  return InferenceSession.create(graphPath, {
    executionProviders: device === 'cuda' ? ['cuda', 'cpu'] : ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // A spinning pool takes the core that another stage on the same node needs.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}
