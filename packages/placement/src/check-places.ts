import type { TesseraError } from '@tessera/protocol';
import type { ModelExperts } from './model-experts.js';
import type { ExpertBlock, PlacementFile } from './placement-file.js';

/**
 * Checks a placement against a model: all that it names is there, and no expert is left out.
 * @param invalid makes the error, of what is wrong
 * @throws what `invalid` makes
 */
export function checkPlaces(
  { engine, groups }: PlacementFile,
  { layers, perLayer }: Pick<ModelExperts, 'layers' | 'perLayer'>,
  invalid: (why: string) => TesseraError,
): void {
  const placed = new Map(layers.map((layer) => [layer, new Set<number>()]));
  const add = (where: string, block: ExpertBlock): void => {
    const experts = block.experts === 'all' ? Array.from({ length: perLayer }, (_, n) => n) : block.experts;
    const expert = experts.find((each) => each >= perLayer);
    if (expert !== undefined) throw invalid(`names expert ${expert}, of ${perLayer} that there are, in ${where}`);
    for (const layer of block.layers === 'all' ? layers : block.layers) {
      const ofLayer = placed.get(layer);
      if (ofLayer === undefined) throw invalid(`names layer ${layer}, which has no experts, in ${where}`);
      for (const each of experts) ofLayer.add(each);
    }
  };
  for (const block of engine) add('engine', block);
  for (const [group, blocks] of Object.entries(groups)) for (const block of blocks) add(`groups.${group}`, block);
  let unplaced = 0;
  let first = '';
  for (const [layer, held] of placed) {
    for (let expert = 0; expert < perLayer; expert++) {
      if (held.has(expert)) continue;
      unplaced++;
      first ||= `expert ${expert} of layer ${layer}`;
    }
  }
  if (unplaced > 0) throw invalid(`leaves ${unplaced} experts to nobody, such as ${first}`);
}
