import type { Bundle, ExpertCut } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';

/**
 * What a bundle says of its experts.
 * @throws TesseraError CONFIG_INVALID where it was not compiled with them cut out
 */
export function requireCut({ dir, manifest }: Bundle): ExpertCut {
  if (manifest.llm.experts !== undefined) return manifest.llm.experts;
  throw new TesseraError(
    'CONFIG_INVALID',
    `the bundle in ${dir} has no experts that could be placed; compile it with --cut experts`,
  );
}
