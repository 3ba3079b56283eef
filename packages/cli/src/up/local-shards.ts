import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from '@tessera/bundle';
import { formatPlacement, placementFileOf, planPlacement, syntheticCounts } from '@tessera/placement';
import { expertsOf } from '../commands/place.js';
import { HintedError } from '../hinted-error.js';
import type { StackShard } from './stack.js';

/** Expert shards of this machine, and the placement that gives each of them its share of the experts. */
export interface LocalShards extends AsyncDisposable {
  /** Where engine and shards look for the placement; `tessera place apply --to` may put another one there. */
  readonly placementFile: string;
  readonly shards: readonly StackShard[];
  /** What the engine must be told. */
  readonly engineFlags: readonly string[];
}

/**
 * Plans so many shards that are alike, each expert in one of them. Dispose of it when they have ended.
 * @throws TesseraError CONFIG_INVALID where the model has fewer experts, or none that are apart
 */
export async function planLocalShards(bundle: Bundle, count: number): Promise<LocalShards> {
  const model = expertsOf(bundle, undefined);
  const experts = model.layers.length * model.perLayer;
  if (count > experts) {
    throw new HintedError(
      'CONFIG_INVALID',
      `the model has ${experts} experts, which ${count} shards cannot share`,
      'Ask for fewer shards with --experts.',
    );
  }
  // Just enough memory, so that no expert is copied.
  const memoryBytes = Math.ceil(experts / count) * model.expertBytes;
  const names = Array.from({ length: count }, (_, n) => `experts-${n}`);
  const nodes = names.map((name) => ({ name, memoryBytes, speed: 1 }));
  const placement = planPlacement({ model, nodes, counts: syntheticCounts(model, 0, 1) });
  const folder = await mkdtemp(join(tmpdir(), 'tessera-up-'));
  const placementFile = join(folder, 'placement.json');
  const { revision } = bundle.manifest;
  await writeFile(placementFile, formatPlacement(placementFileOf(placement, { revision, epoch: 1, model })));
  const engineFlags = ['--experts-placement-file', placementFile];
  return {
    placementFile,
    engineFlags,
    shards: names.map((name) => ({ name, flags: [...engineFlags, '--role', 'experts', '--experts-group', name] })),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
