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

/**
 * Bytes of the weights that this process has: all, or those of the sections and of the experts that it holds itself.
 * @param heldExperts where experts are placed, how many of them are here
 */
export function weightBytes({ manifest }: Bundle, heldExperts?: number): number {
  const { graph, experts } = manifest.llm;
  const all = Object.entries(manifest.files)
    .filter(([name]) => name === graph || name.startsWith(`${graph}.`))
    .reduce((sum, [, { bytes }]) => sum + bytes, 0);
  if (heldExperts === undefined || experts === undefined) return all;
  const { layers, perLayer, expertBytes } = experts;
  return all - (layers.length * perLayer - heldExperts) * expertBytes;
}

/**
 * @param maxBytes absent: by what the memory leaves
 * @param heldExperts where experts are placed, how many of them this process holds
 * @throws TesseraError CONFIG_INVALID when it would hold no sequence of two tokens
 */
export function kvBudget(bundle: Bundle, maxBytes: number | undefined, heldExperts?: number): KvBudget {
  const { llm } = bundle.manifest;
  const memory = memoryLimit();
  const weights = weightBytes(bundle, heldExperts);
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
