import { resolve } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import {
  checkPlaces,
  diffPlacements,
  loadsOf,
  type ModelExperts,
  type PlacementFile,
  type PlacementLoad,
  type PlacementNode,
  placementFileOf,
  placementOf,
  planPlacement,
  readNodes,
  readRoutingCounts,
  syntheticCounts,
} from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { isClusterNodes, readClusterNodes, type ShardGroup } from '../place/cluster-nodes.js';
import {
  invalidPlacement,
  read,
  readCurrent,
  readOrStdin,
  readPlacement,
  readPlacementIfThere,
  replaceFile,
} from '../place/files.js';
import { type chartsOfValues, groupValues } from '../place/group-values.js';
import { laterThan, type OutputOptions, writePlacement } from '../place/output.js';
import { note, table } from '../terminal.js';

export interface PlanOptions extends OutputOptions {
  readonly bundle: string;
  /** In short, as JSON, what kubectl writes, the path of a file that holds one of these, or - for stdin. */
  readonly nodes: string;
  /** Of a cluster's nodes: the share of their memory that experts may take, in per cent. */
  readonly memoryShare: number;
  readonly groupLabel?: string;
  readonly gpuMemory?: string;
  readonly counts?: string;
  readonly skew: number;
  readonly seed: number;
  readonly current?: string;
  readonly tolerance: number;
  readonly expertBytes?: number;
  readonly out?: string;
  /** Where the chart's values for the groups are written. */
  readonly values?: string;
  readonly valuesOf: (typeof chartsOfValues)[number];
  readonly json: boolean;
}

/** Plans a placement of experts, shows what it means, and writes it where that is asked for. */
export async function planExperts(options: PlanOptions): Promise<void> {
  const { configmap, out } = options;
  if (configmap !== undefined && out === undefined && options.json) {
    throw new TesseraError('CONFIG_INVALID', '--json and --configmap both write to stdout; say where with --out');
  }
  const bundle = await readBundle(resolve(options.bundle), ['llm']);
  const model = expertsOf(bundle, options.expertBytes);
  const { nodes, groups } = await nodesOf(options);
  const counts =
    options.counts === undefined
      ? syntheticCounts(model, options.skew, options.seed)
      : readRoutingCounts(await read(options.counts));
  const before = await readCurrent(options.current);
  const current = before && placementOf(before, model);
  const placement = planPlacement({ model, nodes, counts, current, tolerance: options.tolerance / 100 });
  const terms = { model, nodes, counts };
  const load = loadsOf(placement, terms);
  const earlier = current && loadsOf(current, terms);
  const changes = diffPlacements(current ?? new Map(), placement, model);
  const file = laterThan(
    before,
    placementFileOf(placement, { revision: bundle.manifest.revision, epoch: (before?.epoch ?? 0) + 1, model }),
  );
  if (configmap !== undefined || out !== undefined) await writePlacement(file, options, out);
  if (options.values !== undefined) {
    await replaceFile(resolve(options.values), groupValues(groups, load.bytes, options.valuesOf));
  }
  if (options.json) {
    const report = { ...summary(load), before: earlier && summary(earlier), changes, placement: file };
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
  const shown = table(['node', 'of the rows', 'experts, MiB', 'to load, MiB'], rows);
  if (configmap !== undefined && out === undefined) note(shown);
  else process.stdout.write(`${shown}\n`);
  if (earlier !== undefined)
    note(`before: a step's experts take ${percent(earlier.imbalance)} longer than if all were even`);
  note(
    `${earlier === undefined ? '' : 'then: '}a step's experts take ${percent(load.imbalance)} longer than if all were even, ` +
      `${percent(load.worstImbalance)} in the worst layer`,
  );
  if (options.counts === undefined) note('planned for made-up counts; give those of your traffic with --counts');
  if (out !== undefined) note(`placement written: ${out}`);
}

async function nodesOf(
  options: PlanOptions,
): Promise<{ nodes: readonly PlacementNode[]; groups: readonly ShardGroup[] }> {
  if (options.nodes === '-' && options.current === '-') {
    throw new TesseraError('CONFIG_INVALID', '--nodes and --current cannot both come on stdin; put one into a file');
  }
  const text = /[[,]|^\d/.test(options.nodes) ? options.nodes : await readOrStdin(options.nodes);
  if (!isClusterNodes(text)) {
    const [of] = (['groupLabel', 'gpuMemory', 'values'] as const).filter((name) => options[name] !== undefined);
    if (of === undefined) return { nodes: readNodes(text), groups: [] };
    const flag = of.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
    throw new TesseraError('CONFIG_INVALID', `--${flag} is of a cluster's nodes: kubectl get nodes -o json`);
  }
  const cluster = readClusterNodes(text, { ...options, memoryShare: options.memoryShare / 100 });
  for (const { name, why } of cluster.leftOut) note(`${name} is left out: ${why}`);
  return cluster;
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

export interface ApplyOptions extends OutputOptions {
  readonly bundle: string;
  readonly to?: string;
  /** What the cluster has: the ConfigMap, as kubectl writes it. */
  readonly current?: string;
}

/** Puts a placement where engines and shards look for it, as a later one than what is there. */
export async function applyExperts(file: string, options: ApplyOptions): Promise<void> {
  const { to, configmap, current } = options;
  if ((to === undefined) === (configmap === undefined)) {
    throw new TesseraError('CONFIG_INVALID', 'say where the placement is looked for: --to a file, or --configmap');
  }
  const bundle = await readBundle(resolve(options.bundle), ['llm']);
  const { manifest } = bundle;
  const placement: PlacementFile = await readPlacement(file);
  if (placement.revision !== manifest.revision) {
    const why = `is for revision ${placement.revision} of the model; the bundle has ${manifest.revision}`;
    throw invalidPlacement(file, why);
  }
  checkPlaces(placement, expertsOf(bundle, undefined), (why) => invalidPlacement(file, why));
  const there = to === undefined ? await readCurrent(current) : await readPlacementIfThere(to);
  const later = laterThan(there, placement);
  await writePlacement(later, options, to);
  if (there?.epoch === later.epoch) note(`placement ${later.epoch} is there already`);
  else if (to !== undefined)
    note(`placement ${later.epoch} is in ${to}; engines and shards take it up when they look next`);
  else
    note(
      `placement ${later.epoch} is for kubectl apply --server-side -f -; engines and shards take it up when the kubelet has it`,
    );
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

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
