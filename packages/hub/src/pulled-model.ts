import type { ModelId } from './model-id.js';

/** A model in the cache, complete. */
export interface PulledModel {
  readonly id: ModelId;
  readonly commit: string;
  /** The snapshot's folder. */
  readonly dir: string;
  /** What is to be compiled: the folder, or the GGUF file in it. */
  readonly path: string;
  readonly files: readonly string[];
  /** Of all files. */
  readonly bytes: number;
  /** Of those that were not in the cache. */
  readonly fetchedBytes: number;
  /** Where it was found to be complete. */
  readonly from: 'hub' | 'cache';
}
