import type { Bundle, ExpertCut } from '@tessera/bundle';
import { checkPlacementFile, checkPlaces, type ExpertBlock } from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { requireCut } from '../model/expert-cut.js';
import type { ExpertPlace } from './expert-sessions.js';
import { ExpertSet } from './expert-set.js';

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
  const file = checkPlacementFile(value, invalid);
  if (file.revision !== bundle.manifest.revision) {
    throw invalid(
      `is for revision ${file.revision} of the model; the bundle has ${bundle.manifest.revision}: plan one for it (tessera place plan), or serve the bundle of that revision`,
    );
  }
  const cut = requireCut(bundle);
  const { perLayer } = cut;
  const layers = cut.layers.map(({ layer }) => layer);
  checkPlaces(file, { layers, perLayer }, invalid);
  const setOf = (blocks: readonly ExpertBlock[]): ExpertSet =>
    ExpertSet.of(
      cut,
      blocks.flatMap((block) => placesOf(cut, block)),
    );
  return new Placement(
    file.epoch,
    setOf(file.engine),
    new Map(Object.entries(file.groups).map(([group, blocks]) => [group, setOf(blocks)])),
  );
}

function placesOf({ layers, perLayer }: ExpertCut, block: ExpertBlock): ExpertPlace[] {
  const inLayers = block.layers === 'all' ? layers.map(({ layer }) => layer) : block.layers;
  const experts = block.experts === 'all' ? Array.from({ length: perLayer }, (_, n) => n) : block.experts;
  return inLayers.flatMap((layer) => experts.map((expert) => ({ layer, expert })));
}
