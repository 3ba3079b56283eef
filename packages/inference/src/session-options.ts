export interface SessionOptions {
  /** Threads inside one operator. 1 is best when several processes share the cores (docs/performance.md). */
  readonly threads: number;
  /** `cuda` needs onnxruntime-node installed with its CUDA files. */
  readonly device: 'cpu' | 'cuda';
}

/** Of a service's settings those of its sessions: only these go to the engine's thread. */
export function sessionOptions({ threads, device }: SessionOptions): SessionOptions {
  return { threads, device };
}
