import type { Bundle, ExpertCut } from '@tessera/bundle';
import { checkPlacementFile, type ExpertBlock } from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { requireCut } from '../model/expert-cut.js';
import type { ExpertPlace } from './expert-sessions.js';
import { ExpertSet, everyExpert } from './expert-set.js';

/** Which expert of which layer is held by whom. An expert may be held by several. */
export class Placement {
  constructor(
    readonly epoch: number,
    /** Held by every engine itself. */
    readonly engine: ExpertSet,
    /** Held by the shards of each group. */
    readonly groups: ReadonlyMap<string, ExpertSet>,
  ) {}

  /** The groups whose shards hold an expert. */
  groupsOf(place: ExpertPlace): string[] {
    return [...this.groups].flatMap(([group, held]) => (held.has(place) ? [group] : []));
  }
}

/**
 * Reads a placement file's text.
 * @throws TesseraError CONFIG_INVALID naming the file, and what is wrong with it
 */
export function readPlacement(path: string, text: string, bundle: Bundle): Placement {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `the placement ${path} is not JSON`, { cause });
  }
  return parsePlacement(value, bundle, path);
}

/**
 * Checks a placement against the bundle, before anything is moved.
 * @param name how messages call it
 * @throws TesseraError CONFIG_INVALID: what is wrong with it
 */
export function parsePlacement(value: unknown, bundle: Bundle, name = ''): Placement {
  const invalid = (why: string, cause?: unknown): TesseraError =>
    new TesseraError('CONFIG_INVALID', `the placement ${name} ${why}`, { cause });
  const { revision, epoch, engine, groups } = checkPlacementFile(value, invalid);
  if (revision !== bundle.manifest.revision) {
    throw invalid(`is for revision ${revision} of the model; the bundle has ${bundle.manifest.revision}`);
  }
  const cut = requireCut(bundle);
  const within = (where: string, blocks: readonly ExpertBlock[]): ExpertSet =>
    ExpertSet.of(
      cut,
      blocks.flatMap((each) => placesOf(cut, each, (why) => invalid(`${why} in ${where}`))),
    );
  const placement = new Placement(
    epoch,
    within('engine', engine),
    new Map(Object.entries(groups).map(([group, blocks]) => [group, within(`groups.${group}`, blocks)])),
  );
  const unplaced = [...everyExpert(cut)].filter(
    (place) => !placement.engine.has(place) && placement.groupsOf(place).length === 0,
  );
  const [first] = unplaced;
  if (first !== undefined) {
    throw invalid(
      `leaves ${unplaced.length} experts to nobody, such as expert ${first.expert} of layer ${first.layer}`,
    );
  }
  return placement;
}

function placesOf(
  { layers, perLayer }: ExpertCut,
  chosen: ExpertBlock,
  invalid: (why: string) => TesseraError,
): ExpertPlace[] {
  const known = layers.map(({ layer }) => layer);
  const inLayers = chosen.layers === 'all' ? known : chosen.layers;
  const experts = chosen.experts === 'all' ? Array.from({ length: perLayer }, (_, n) => n) : chosen.experts;
  const layer = inLayers.find((each) => !known.includes(each));
  if (layer !== undefined) throw invalid(`names layer ${layer}, which has no experts,`);
  const expert = experts.find((each) => each >= perLayer);
  if (expert !== undefined) throw invalid(`names expert ${expert}, of ${perLayer} that there are,`);
  return inLayers.flatMap((each) => experts.map((one) => ({ layer: each, expert: one })));
}
