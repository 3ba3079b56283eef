import { totalmem } from 'node:os';
import type { Bundle } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { bytesPerRow } from './kv-shape.js';

/** What the cache may take, and how long a sequence can be with that. */
export interface KvBudget {
  /** Of all sequences together. */
  readonly bytes: number;
  /** Prompt and answer of one sequence: the model's context, or less where the bytes hold no more. */
  readonly contextTokens: number;
}

/** Bytes that this process may use: the limit of its container (cgroup version 1 or 2), or the machine's memory. */
export function memoryLimit(): number {
  const machine = totalmem();
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(machine, constrained) : machine;
}

/** Half of what the weights leave: the rest is for steps under way, prompts, tiles and the other processes. */
export function defaultKvBytes(memoryBytes: number, weightBytes: number): number {
  return Math.max(0, Math.floor((memoryBytes - weightBytes) / 2));
}

/** Bytes of the graph and of the weights beside it. */
function weightBytes({ manifest }: Bundle): number {
  const { graph } = manifest.llm;
  return Object.entries(manifest.files)
    .filter(([name]) => name === graph || name.startsWith(`${graph}.`))
    .reduce((sum, [, { bytes }]) => sum + bytes, 0);
}

/**
 * @param maxBytes absent: by what the memory leaves
 * @throws TesseraError CONFIG_INVALID when it would hold no sequence of two tokens
 */
export function kvBudget(bundle: Bundle, maxBytes: number | undefined): KvBudget {
  const { llm } = bundle.manifest;
  const memory = memoryLimit();
  const weights = weightBytes(bundle);
  const bytes = maxBytes ?? defaultKvBytes(memory, weights);
  const row = bytesPerRow(llm);
  const contextTokens = Math.min(llm.maxPositions, Math.floor(bytes / row));
  if (contextTokens < 2) {
    const why =
      maxBytes === undefined
        ? `of ${memory} bytes of memory the weights take ${weights}, and half of the rest is ${bytes}`
        : `kv.maxBytes is ${maxBytes}`;
    throw new TesseraError('CONFIG_INVALID', `${why}, but one token of this model takes ${row} bytes of KV cache`);
  }
  return { bytes, contextTokens };
}
