import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';

/** Some experts of some layers, as a placement has them. */
interface Block {
  readonly layers: 'all' | readonly number[];
  readonly experts: 'all' | readonly number[];
}

/** A bundle whose experts can be placed, and a placement that can be replaced. */
export interface PlacedExperts extends AsyncDisposable {
  /** The bundle's folder. */
  readonly dir: string;
  readonly placementFile: string;
  /** Replaces the placement by one of the next epoch. */
  place(groups: Readonly<Record<string, readonly Block[]>>, engine?: readonly Block[]): Promise<void>;
}

/** The demo model, cut; one group, `all`, has all experts unless something else is placed. */
export async function placedExperts(): Promise<PlacedExperts> {
  const dir = await demoBundleDir('float32', 'experts');
  const { revision } = (await readBundle(dir, [])).manifest;
  const folder = await mkdtemp(join(tmpdir(), 'tessera-placement-'));
  const placementFile = join(folder, 'placement.json');
  let epoch = 0;
  const place: PlacedExperts['place'] = async (groups, engine = []) => {
    epoch++;
    await writeFile(`${placementFile}.new`, JSON.stringify({ revision, epoch, engine, groups }));
    await rename(`${placementFile}.new`, placementFile);
  };
  await place({ all: [{ layers: 'all', experts: 'all' }] });
  return {
    dir,
    placementFile,
    place,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
