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

/** What a process has of a model. */
export interface ModelShare {
  readonly layers: number;
  readonly weightBytes: number;
}

/**
 * All layers: with all weights, or with those of the sections and of the experts that the process holds itself.
 * @param heldExperts where experts are placed, how many of them are here
 */
export function allLayers({ manifest }: Bundle, heldExperts?: number): ModelShare {
  const { graph, layers, experts, layerPieces } = manifest.llm;
  // A graph that is in pieces too has its weights in theirs.
  const ofPieces = (layerPieces?.pieces ?? []).map((piece) => `${piece.graph}.data`);
  const all = Object.entries(manifest.files)
    .filter(([name]) => name === graph || name.startsWith(`${graph}.`) || ofPieces.includes(name))
    .reduce((sum, [, { bytes }]) => sum + bytes, 0);
  if (heldExperts === undefined || experts === undefined) return { layers, weightBytes: all };
  const elsewhere = experts.layers.length * experts.perLayer - heldExperts;
  return { layers, weightBytes: all - elsewhere * experts.expertBytes };
}

/** One piece of a model that is cut by layers. @throws TesseraError CONFIG_INVALID when there is no such piece */
export function pieceOfModel(bundle: Bundle, piece: number): ModelShare {
  const files = bundle.filesOfLayers(piece).filter((name) => name.includes('.onnx'));
  return { layers: bundle.layerPieces.pieces[piece]?.layers ?? 0, weightBytes: bundle.bytesOf(files) };
}

export interface KvBudgetOptions {
  /** What the process has of the model; all of it unless said. */
  readonly share?: ModelShare;
  /** The most positions, where others hold a part of the cache. */
  readonly maxPositions?: number | undefined;
}

/**
 * @param maxBytes absent: by what the memory leaves
 * @throws TesseraError CONFIG_INVALID when it would hold no sequence of two tokens
 */
export function kvBudget(
  bundle: Bundle,
  maxBytes: number | undefined,
  { share = allLayers(bundle), maxPositions = Number.POSITIVE_INFINITY }: KvBudgetOptions = {},
): KvBudget {
  const { llm } = bundle.manifest;
  const memory = memoryLimit();
  const own = maxBytes ?? defaultKvBytes(memory, share.weightBytes);
  const row = bytesPerRow({ ...llm, layers: share.layers });
  const positions = Math.min(Math.floor(own / row), maxPositions);
  const contextTokens = Math.min(llm.maxPositions, positions);
  if (contextTokens < 2) {
    const what =
      maxBytes === undefined
        ? `of ${memory} bytes of memory the weights take ${share.weightBytes}, and half of the rest is ${own}`
        : `kv.maxBytes is ${maxBytes}`;
    const why = own >= 2 * row ? `the layer shards have room for ${maxPositions} positions` : what;
    throw new TesseraError('CONFIG_INVALID', `${why}, but one token of this model takes ${row} bytes of KV cache`);
  }
  return { bytes: Math.min(own, maxPositions * row), contextTokens };
}
