import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { type Manifest, named } from './manifest.js';

/** The kinds that charts may render, by apiVersion, and where their models are. Another one is a mistake, or wants its model. */
const allowed: Readonly<Record<string, { models: string; kinds: readonly string[] }>> = {
  v1: {
    models: 'kubernetes-models/v1',
    kinds: ['ConfigMap', 'PersistentVolume', 'PersistentVolumeClaim', 'Secret', 'Service', 'ServiceAccount'],
  },
  'apps/v1': { models: 'kubernetes-models/apps/v1', kinds: ['Deployment', 'StatefulSet'] },
  'autoscaling/v2': { models: 'kubernetes-models/autoscaling/v2', kinds: ['HorizontalPodAutoscaler'] },
  'batch/v1': { models: 'kubernetes-models/batch/v1', kinds: ['Job'] },
  'networking.k8s.io/v1': { models: 'kubernetes-models/networking.k8s.io/v1', kinds: ['NetworkPolicy'] },
  'policy/v1': { models: 'kubernetes-models/policy/v1', kinds: ['PodDisruptionBudget'] },
  'keda.sh/v1alpha1': {
    models: '@kubernetes-models/keda/keda.sh/v1alpha1',
    kinds: ['ScaledObject', 'TriggerAuthentication'],
  },
  'monitoring.coreos.com/v1': {
    models: '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1',
    kinds: ['PodMonitor', 'PrometheusRule'],
  },
};

/** Those whose type is in own-models.ts, whether or not a package can validate them. */
const own: Readonly<Record<string, readonly string[]>> = {
  'resource.k8s.io/v1': ['ResourceClaimTemplate'],
  'keda.sh/v1alpha1': ['ScaledObject'],
  'leaderworkerset.x-k8s.io/v1': ['LeaderWorkerSet'],
};

type ModelClass = new (data: Manifest) => { validate(): void };

/**
 * What a manifest lacks, or has of a wrong type, as the models of its kind see it; they pass over fields that they do not know.
 * @returns one sentence, or none
 */
export async function invalid(manifest: Manifest): Promise<string[]> {
  const { apiVersion, kind } = manifest;
  const found = allowed[apiVersion];
  if (found === undefined && own[apiVersion]?.includes(kind)) return [];
  if (found === undefined || !found.kinds.includes(kind))
    return [`${named(manifest)}: ${apiVersion} ${kind} is no kind that charts may render`];
  const models = (await import(found.models)) as Record<string, ModelClass>;
  const Model = models[kind];
  if (Model === undefined) throw new Error(`${found.models} has no ${kind}`);
  try {
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [`${named(manifest)}: ${(error as Error).message}`];
  }
}

/**
 * What the compiler says of manifests as constants of their kind's type: fields that the kind does not have, too.
 * @param cases manifests of each, by its name; those of kinds that are not allowed are left out
 * @returns one sentence a mistake, with the case and the line
 */
export async function mistyped(cases: ReadonlyMap<string, readonly Manifest[]>): Promise<string[]> {
  // Beneath the repository's root, where the compiler finds the packages.
  mkdirSync(join(root, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(root, '.cache/manifests-'));
  try {
    const places = new Map<string, Placed>();
    for (const [name, manifests] of cases) places.set(`${name}.ts`, writeConstants(folder, name, manifests));
    const compilerOptions = {
      strict: true,
      noEmit: true,
      module: 'NodeNext',
      target: 'ES2022',
      skipLibCheck: true,
      types: [],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const { status, stdout } = await runCommand(process.execPath, [
      join(root, 'node_modules/typescript/bin/tsc'),
      '-p',
      folder,
      '--pretty',
      'false',
    ]);
    const found = [...stdout.matchAll(/^([^\s(]+)\((\d+),\d+\): error \w+: (.*)$/gm)].map(
      ([, file = '', line = '', text = '']) => {
        const name = relative(folder, join(root, file));
        const { lines, starts } = places.get(name) ?? { lines: [], starts: [] };
        const manifest = starts.findLast((each) => each.line <= Number(line))?.manifest;
        const at = lines[Number(line) - 1]?.trim() ?? '';
        return `${name.replace(/\.ts$/, '')}: ${manifest === undefined ? '' : named(manifest)}: ${text} (at ${at})`;
      },
    );
    if (status !== 0 && found.length === 0) throw new Error(`the compiler ended with ${status}: ${stdout}`);
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Placed {
  readonly lines: readonly string[];
  readonly starts: readonly { readonly line: number; readonly manifest: Manifest }[];
}

function writeConstants(folder: string, name: string, manifests: readonly Manifest[]): Placed {
  const known = manifests.filter(({ apiVersion, kind }) => modelsOf(apiVersion, kind) !== undefined);
  const kinds = new Map(known.map(({ apiVersion, kind }) => [`${apiVersion} ${kind}`, modelsOf(apiVersion, kind)]));
  const types = new Map([...kinds.keys()].map((key, index) => [key, `Kind${index}`]));
  const lines = [...kinds].map(
    ([key, models]) => `import type { I${key.split(' ')[1]} as ${types.get(key)} } from '${models}';`,
  );
  const starts: { line: number; manifest: Manifest }[] = [];
  for (const manifest of known) {
    starts.push({ line: lines.length + 1, manifest });
    const type = types.get(`${manifest.apiVersion} ${manifest.kind}`);
    lines.push(...`export const manifest${starts.length}: ${type} = ${JSON.stringify(manifest, null, 1)};`.split('\n'));
  }
  writeFileSync(join(folder, `${name}.ts`), lines.join('\n'));
  return { lines, starts };
}

function modelsOf(apiVersion: string, kind: string): string | undefined {
  if (own[apiVersion]?.includes(kind)) return '../../test/charts/support/own-models.js';
  return allowed[apiVersion]?.kinds.includes(kind) ? allowed[apiVersion].models : undefined;
}
