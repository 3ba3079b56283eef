import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import type { PlacementNode } from './model-experts.js';

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

const namePattern = /^[A-Za-z0-9_-]{1,48}$/;
const maxNodes = 4096;

const schema = z
  .array(
    z.strictObject({
      name: z.string().regex(namePattern, 'is not 1 to 48 letters, digits, - or _'),
      /** So many that are alike: they are numbered. */
      count: z.int().min(1).max(maxNodes).optional(),
      memory: z.union([z.string(), z.number()]),
      speed: z.number().positive().optional(),
    }),
  )
  .min(1);

/**
 * Nodes, from JSON or in short: `2x24Gi,80Gi` are `node-0` to `node-2`.
 * @throws TesseraError CONFIG_INVALID
 */
export function readNodes(text: string): PlacementNode[] {
  const trimmed = text.trim();
  return checkNodes(trimmed.startsWith('[') ? fromJson(trimmed) : fromWords(trimmed));
}

/**
 * Nodes, from wherever they come: not too many, and each name once.
 * @throws TesseraError CONFIG_INVALID
 */
export function checkNodes(nodes: PlacementNode[]): PlacementNode[] {
  if (nodes.length > maxNodes) throw invalid(`there are ${nodes.length}; at most ${maxNodes} are taken`);
  const twice = nodes.find(({ name }, at) => nodes.findIndex((other) => other.name === name) !== at);
  if (twice !== undefined) throw invalid(`${twice.name} is there twice`);
  return nodes;
}

function fromWords(text: string): PlacementNode[] {
  const nodes: PlacementNode[] = [];
  for (const word of text.split(',')) {
    const [, count = '1', memory] = /^\s*(?:(\d{1,4})x)?([^x\s]+)\s*$/.exec(word) ?? [];
    if (memory === undefined) throw invalid(`"${word}" is not like 2x24Gi`);
    for (let n = 0; n < Number(count); n++) {
      nodes.push({ name: `node-${nodes.length}`, memoryBytes: bytesOf(memory), speed: 1 });
    }
  }
  return nodes;
}

function fromJson(text: string): PlacementNode[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('they are not JSON', cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error).replaceAll('\n', ' '), parsed.error);
  return parsed.data.flatMap(({ name, count, memory, speed = 1 }) => {
    const memoryBytes = bytesOf(memory);
    if (count === undefined) return [{ name, memoryBytes, speed }];
    return Array.from({ length: count }, (_, n) => ({ name: `${name}-${n}`, memoryBytes, speed }));
  });
}

/**
 * Bytes, as Kubernetes writes them: 24Gi, 512M, or a number.
 * @throws TesseraError CONFIG_INVALID
 */
export function bytesOf(memory: string | number): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(k|[KMGTP]i?)?B?$/.exec(String(memory)) ?? [];
  const bytes = Number(amount) * (units[unit] as number);
  if (!(bytes > 0)) throw invalid(`"${memory}" is no memory such as 24Gi`);
  return Math.floor(bytes);
}

function invalid(why: string, cause?: unknown): TesseraError {
  return new TesseraError('CONFIG_INVALID', `the nodes are wrong: ${why}`, { cause });
}
