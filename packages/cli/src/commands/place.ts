import { readFile, rename, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import {
  checkPlaces,
  diffPlacements,
  loadsOf,
  type ModelExperts,
  type PlacementLoad,
  parsePlacementFile,
  placementOf,
  planPlacement,
  readNodes,
  readRoutingCounts,
  syntheticCounts,
  writePlacement,
} from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { note, table } from '../terminal.js';

export interface PlanOptions {
  readonly bundle: string;
  /** In short, as JSON, or the path of a file that holds either. */
  readonly nodes: string;
  readonly counts?: string;
  readonly skew: number;
  readonly seed: number;
  readonly current?: string;
  readonly tolerance: number;
  readonly expertBytes?: number;
  readonly out?: string;
  readonly json: boolean;
}

/** Plans a placement of experts, shows what it means, and writes it where that is asked for. */
export async function planExperts(options: PlanOptions): Promise<void> {
  const bundle = await readBundle(resolve(options.bundle), ['llm']);
  const model = expertsOf(bundle, options.expertBytes);
  const nodes = readNodes(await textOrFile(options.nodes));
  const counts =
    options.counts === undefined
      ? syntheticCounts(model, options.skew, options.seed)
      : readRoutingCounts(await read(options.counts));
  const before = options.current === undefined ? undefined : await readPlacement(options.current);
  const current = before && placementOf(before, model);
  const placement = planPlacement({ model, nodes, counts, current, tolerance: options.tolerance / 100 });
  const terms = { model, nodes, counts };
  const load = loadsOf(placement, terms);
  const earlier = current && loadsOf(current, terms);
  const changes = diffPlacements(current ?? new Map(), placement, model);
  const { revision } = bundle.manifest;
  const text = writePlacement(placement, { revision, epoch: (before?.epoch ?? 0) + 1, model });
  if (options.out !== undefined) await replaceFile(resolve(options.out), text);
  if (options.json) {
    const report = { ...summary(load), before: earlier && summary(earlier), changes, placement: JSON.parse(text) };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  const loads = new Map(changes.map(({ node, loadBytes }) => [node, loadBytes]));
  const rows = nodes.map(({ name }) => [
    name,
    percent(load.shares.get(name) ?? 0),
    mebibytes(load.bytes.get(name) ?? 0),
    mebibytes(loads.get(name) ?? 0),
  ]);
  process.stdout.write(`${table(['node', 'of the rows', 'experts, MiB', 'to load, MiB'], rows)}\n`);
  if (earlier !== undefined)
    note(`before: a step's experts take ${percent(earlier.imbalance)} longer than if all were even`);
  note(
    `${earlier === undefined ? '' : 'then: '}a step's experts take ${percent(load.imbalance)} longer than if all were even, ` +
      `${percent(load.worstImbalance)} in the worst layer`,
  );
  if (options.counts === undefined) note('planned for made-up counts; give those of your traffic with --counts');
  if (options.out !== undefined) note(`placement written: ${options.out}`);
}

/** Shows what changes from one placement to another. */
export async function diffExperts(
  before: string,
  after: string,
  options: { bundle: string; expertBytes?: number; json: boolean },
): Promise<void> {
  const model = expertsOf(await readBundle(resolve(options.bundle), ['llm']), options.expertBytes);
  const [from, to] = [await readPlacement(before), await readPlacement(after)];
  const changes = diffPlacements(placementOf(from, model), placementOf(to, model), model);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(changes, null, 2)}\n`);
    return;
  }
  if (changes.length === 0) {
    note('the same experts on the same nodes');
    return;
  }
  const rows = changes.map(({ node, adds, drops, loadBytes }) => [
    node,
    String(adds.length),
    String(drops.length),
    mebibytes(loadBytes),
  ]);
  process.stdout.write(`${table(['node', 'gets', 'gives up', 'to load, MiB'], rows)}\n`);
}

/** Puts a placement where engines and shards look for it, as a later one than what is there. */
export async function applyExperts(file: string, options: { bundle: string; to: string }): Promise<void> {
  const bundle = await readBundle(resolve(options.bundle), ['llm']);
  const { manifest } = bundle;
  const placement = await readPlacement(file);
  if (placement.revision !== manifest.revision) {
    const why = `is for revision ${placement.revision} of the model; the bundle has ${manifest.revision}`;
    throw invalidPlacement(file, why);
  }
  checkPlaces(placement, expertsOf(bundle, undefined), (why) => invalidPlacement(file, why));
  const there = await readFile(resolve(options.to), 'utf8').catch(() => undefined);
  const epoch = there === undefined ? 0 : parse(options.to, there).epoch;
  const later = { ...placement, epoch: Math.max(placement.epoch, epoch + 1) };
  await replaceFile(resolve(options.to), `${JSON.stringify(later, null, 1)}\n`);
  note(`placement ${later.epoch} is in ${options.to}; engines and shards take it up when they look next`);
}

/**
 * What a planner must know of a bundle.
 * @param expertBytes memory of one expert, where it is not what its weights take
 * @throws TesseraError CONFIG_INVALID where its experts are not apart
 */
export function expertsOf({ manifest }: Bundle, expertBytes: number | undefined): ModelExperts {
  const { experts } = manifest.llm;
  if (experts === undefined) {
    throw new TesseraError(
      'CONFIG_INVALID',
      'the bundle does not have its experts apart; compile it with `tessera compile --cut experts`',
    );
  }
  const layers = experts.layers.map(({ layer }) => layer);
  return { layers, perLayer: experts.perLayer, expertBytes: expertBytes ?? experts.expertBytes };
}

function summary({ shares, bytes, imbalance, worstImbalance }: PlacementLoad) {
  const nodes = [...shares].map(([node, share]) => ({ node, share, bytes: bytes.get(node) }));
  return { imbalance, worstImbalance, nodes };
}

async function readPlacement(path: string) {
  return parse(path, await read(path));
}

function parse(path: string, text: string) {
  return parsePlacementFile(text, (why, cause) => invalidPlacement(path, why, cause));
}

function invalidPlacement(path: string, why: string, cause?: unknown): TesseraError {
  return new TesseraError('CONFIG_INVALID', `the placement ${path} ${why}`, { cause });
}

async function read(path: string): Promise<string> {
  return await readFile(resolve(path), 'utf8').catch((cause: unknown) => {
    throw new TesseraError('CONFIG_INVALID', `${path} cannot be read`, { cause });
  });
}

async function textOrFile(value: string): Promise<string> {
  return /[[,]|^\d/.test(value) ? value : await read(value);
}

/** Whole or not at all: others read it. */
async function replaceFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.new`;
  await writeFile(beside, text);
  await rename(beside, path);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
