import type { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import type { ModelExperts, Placement } from './model-experts.js';

const number = z.int().nonnegative();

/** Some experts of some layers: each of the one in each of the other. */
const block = z.strictObject({
  layers: z.union([z.literal('all'), z.array(number).min(1)]),
  experts: z.union([z.literal('all'), z.array(number).min(1)]),
});

/** Experts by blocks, as the file writes them. */
export type ExpertBlock = z.infer<typeof block>;

/** The name under which a placement says what every engine holds itself. */
const engineGroup = 'engine';

const schema = z.strictObject({
  /** The revision of the bundle whose experts are placed. */
  revision: z.string(),
  /** Counts placements: a later one has a higher number. */
  epoch: z
    .int()
    .min(1)
    .max(2 ** 31),
  /** What every engine holds itself. */
  engine: z.array(block).default([]),
  /** What each group of shards holds; the shards of a group hold the same. */
  groups: z.record(z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'is not 1 to 64 letters, digits, - or _'), z.array(block)),
});

/** A placement as engines and shards read it. */
export type PlacementFile = z.infer<typeof schema>;

/**
 * @param invalid makes the error, of what is wrong
 * @throws what `invalid` makes
 */
export function parsePlacementFile(
  text: string,
  invalid: (why: string, cause?: unknown) => TesseraError,
): PlacementFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('is not JSON', cause);
  }
  return checkPlacementFile(value, invalid);
}

/** The same of what JSON said. */
export function checkPlacementFile(
  value: unknown,
  invalid: (why: string, cause?: unknown) => TesseraError,
): PlacementFile {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(`is wrong: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`, parsed.error);
  return parsed.data;
}

/**
 * A placement as the file has it. A node of the name `engine` stands for what every engine holds itself.
 * @param epoch higher than that of the placement before
 */
export function placementFileOf(
  placement: Placement,
  { revision, epoch, model }: { revision: string; epoch: number; model: ModelExperts },
): PlacementFile {
  const groups: Record<string, ExpertBlock[]> = {};
  let engine: ExpertBlock[] = [];
  for (const [name, held] of placement) {
    const blocks = blocksOf(held, model);
    if (name === engineGroup) engine = blocks;
    else groups[name] = blocks;
  }
  return { revision, epoch, engine, groups };
}

/** A placement's text: a line for each block, so that it is short and a diff shows what changed. */
export function formatPlacement({ revision, epoch, engine, groups }: PlacementFile): string {
  const list = (blocks: readonly ExpertBlock[]): string =>
    blocks.length === 0 ? '[]' : `[\n  ${blocks.map((each) => JSON.stringify(each)).join(',\n  ')}\n ]`;
  const named = Object.entries(groups).map(([name, blocks]) => ` ${JSON.stringify(name)}: ${list(blocks)}`);
  const head = `"revision": ${JSON.stringify(revision)},\n"epoch": ${epoch},\n"engine": ${list(engine)}`;
  return `{\n${head},\n"groups": {\n${named.join(',\n')}\n}\n}\n`;
}

/** Layers that hold the same are one block. */
function blocksOf(held: readonly (readonly number[])[], { layers, perLayer }: ModelExperts): ExpertBlock[] {
  const byExperts = new Map<string, { experts: readonly number[]; layers: number[] }>();
  for (const [at, experts] of held.entries()) {
    if (experts.length === 0) continue;
    const key = experts.join();
    const found = byExperts.get(key) ?? { experts, layers: [] };
    byExperts.set(key, found);
    found.layers.push(layers[at] as number);
  }
  return [...byExperts.values()].map(({ experts, layers: within }) => ({
    layers: within.length === layers.length ? 'all' : within,
    experts: experts.length === perLayer ? 'all' : [...experts],
  }));
}

/** What a file says, by node. Layers and experts that the model lacks are left out: see the engine's own check. */
export function placementOf({ engine, groups }: PlacementFile, { layers, perLayer }: ModelExperts): Placement {
  const held = (blocks: readonly ExpertBlock[]): number[][] =>
    layers.map((layer) => {
      const experts = blocks
        .filter((each) => each.layers === 'all' || each.layers.includes(layer))
        .flatMap((each) => (each.experts === 'all' ? Array.from({ length: perLayer }, (_, n) => n) : each.experts));
      return [...new Set(experts)].filter((expert) => expert < perLayer).sort((a, b) => a - b);
    });
  const nodes: [string, number[][]][] = Object.entries(groups).map(([name, blocks]) => [name, held(blocks)]);
  return new Map(engine.length === 0 ? nodes : [[engineGroup, held(engine)], ...nodes]);
}
