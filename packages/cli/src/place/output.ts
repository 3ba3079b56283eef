import { resolve } from 'node:path';
import { formatPlacement, type PlacementFile } from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { placementManifest } from './config-map.js';
import { replaceFile } from './files.js';

/** Whether a placement is written as it is, or as the manifest of a ConfigMap. */
export interface OutputOptions {
  readonly configmap?: string;
  readonly namespace?: string;
  readonly label: Readonly<Record<string, string>>;
  /** Of the manifest; YAML by default. */
  readonly output?: 'json' | 'yaml';
}

/**
 * @param path stdout where it is left out
 * @throws TesseraError CONFIG_INVALID where what is asked for does not go together, or is too large
 */
export async function writePlacement(
  placement: PlacementFile,
  options: OutputOptions,
  path: string | undefined,
): Promise<void> {
  const content = contentOf(placement, options);
  if (path === undefined) process.stdout.write(content);
  else await replaceFile(resolve(path), content);
}

function contentOf(placement: PlacementFile, options: OutputOptions): string {
  const { configmap, namespace, label, output = 'yaml' } = options;
  if (configmap !== undefined) return placementManifest(placement, { configmap, namespace, labels: label }, output);
  const [wanting] = (['namespace', 'output'] as const).filter((name) => options[name] !== undefined);
  if (wanting !== undefined || Object.keys(label).length > 0) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `--${wanting ?? 'label'} is of a ConfigMap; say its name with --configmap`,
    );
  }
  return formatPlacement(placement);
}

/** The placement as a later one than what is there, or as what is there where it says the same. */
export function laterThan(there: PlacementFile | undefined, placement: PlacementFile): PlacementFile {
  if (there === undefined) return placement;
  if (saysTheSame(there, placement)) return { ...placement, epoch: there.epoch };
  return { ...placement, epoch: Math.max(placement.epoch, there.epoch + 1) };
}

function saysTheSame(one: PlacementFile, other: PlacementFile): boolean {
  const of = (placement: PlacementFile): string => formatPlacement({ ...placement, epoch: 1 });
  return of(one) === of(other);
}
