import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IVolume } from 'kubernetes-models/v1/Volume';
import {
  type Check,
  containers,
  isGiven,
  named,
  type PlacedContainer,
  type Release,
  workloads,
} from '../support/manifest.js';

/** Volumes that a StatefulSet makes for each pod count too. */
function volumesOf({ workload }: PlacedContainer): string[] {
  const { volumeClaimTemplates = [] } = workload.manifest.spec as {
    volumeClaimTemplates?: { metadata?: { name?: string } }[];
  };
  const claims = volumeClaimTemplates.map(({ metadata }) => metadata?.name ?? '');
  return [...(workload.template.spec?.volumes ?? []).map(({ name }) => name), ...claims];
}

/** Each mount has its volume, each volume is mounted, and no two mounts of a container lie on one path. */
export const mountsMeetVolumes: Check = (release) => {
  const faults: string[] = [];
  for (const placed of containers(release)) {
    const volumes = volumesOf(placed);
    const paths = (placed.container.volumeMounts ?? []).map(({ name, mountPath }) => {
      if (!volumes.includes(name)) faults.push(`${placed.where} mounts '${name}', which is no volume of its pod`);
      return mountPath;
    });
    for (const path of new Set(paths)) {
      if (paths.indexOf(path) !== paths.lastIndexOf(path)) faults.push(`${placed.where} mounts two volumes on ${path}`);
    }
  }
  for (const { manifest, template } of workloads(release)) {
    const { volumes = [], containers: own = [], initContainers = [] } = template.spec ?? {};
    const mounted = new Set(
      [...own, ...initContainers].flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)),
    );
    const names = volumes.map(({ name }) => name);
    for (const name of new Set(names)) {
      if (!mounted.has(name)) faults.push(`${named(manifest)} has the volume '${name}', which nobody mounts`);
      if (names.indexOf(name) !== names.lastIndexOf(name)) faults.push(`${named(manifest)} has two volumes '${name}'`);
    }
  }
  return faults;
};

interface Reference {
  readonly kind: 'ConfigMap' | 'Secret' | 'PersistentVolumeClaim' | 'ServiceAccount' | 'ResourceClaimTemplate';
  readonly name: string | undefined;
  readonly keys: readonly string[];
}

function ofVolume({ configMap, secret, persistentVolumeClaim, projected }: IVolume): Reference[] {
  const keys = (items: { key: string }[] | undefined): string[] => (items ?? []).map(({ key }) => key);
  return [
    ...(configMap ? [{ kind: 'ConfigMap', name: configMap.name, keys: keys(configMap.items) } as const] : []),
    ...(secret ? [{ kind: 'Secret', name: secret.secretName, keys: keys(secret.items) } as const] : []),
    ...(persistentVolumeClaim
      ? [{ kind: 'PersistentVolumeClaim', name: persistentVolumeClaim.claimName, keys: [] } as const]
      : []),
    ...(projected?.sources ?? []).flatMap((source) =>
      ofVolume({
        name: '',
        configMap: source.configMap,
        ...(source.secret ? { secret: { secretName: source.secret.name, items: source.secret.items } } : {}),
      }),
    ),
  ];
}

function ofContainer({ env = [], envFrom = [] }: IContainer): Reference[] {
  return [
    ...env.flatMap(({ valueFrom }) => [
      ...(valueFrom?.configMapKeyRef
        ? [{ kind: 'ConfigMap', name: valueFrom.configMapKeyRef.name, keys: [valueFrom.configMapKeyRef.key] } as const]
        : []),
      ...(valueFrom?.secretKeyRef
        ? [{ kind: 'Secret', name: valueFrom.secretKeyRef.name, keys: [valueFrom.secretKeyRef.key] } as const]
        : []),
    ]),
    ...envFrom.flatMap(({ configMapRef, secretRef }) => [
      ...(configMapRef ? [{ kind: 'ConfigMap', name: configMapRef.name, keys: [] } as const] : []),
      ...(secretRef ? [{ kind: 'Secret', name: secretRef.name, keys: [] } as const] : []),
    ]),
  ];
}

/** What a pod takes from other objects is rendered with it, key by key, or was named in the values. */
export const referencesLead: Check = (release) =>
  workloads(release).flatMap(({ manifest, template }) => {
    const {
      volumes = [],
      containers: own = [],
      initContainers = [],
      imagePullSecrets = [],
      serviceAccountName,
      resourceClaims = [],
    } = template.spec ?? {};
    const references: Reference[] = [
      ...volumes.flatMap(ofVolume),
      ...[...own, ...initContainers].flatMap(ofContainer),
      ...imagePullSecrets.map(({ name }) => ({ kind: 'Secret', name, keys: [] }) as const),
      ...resourceClaims.flatMap(({ resourceClaimTemplateName: name }) =>
        name ? [{ kind: 'ResourceClaimTemplate', name, keys: [] } as const] : [],
      ),
      ...(serviceAccountName && serviceAccountName !== 'default'
        ? [{ kind: 'ServiceAccount', name: serviceAccountName, keys: [] } as const]
        : []),
    ];
    return references.flatMap((reference) => lack(release, reference).map((what) => `${named(manifest)} ${what}`));
  });

function lack(release: Release, { kind, name, keys }: Reference): string[] {
  if (name === undefined) return [`names no ${kind}`];
  const found = release.manifests.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined)
    return isGiven(release.values, name) ? [] : [`takes from ${kind} ${name}, which is not there`];
  const held = Object.keys({ ...found.data, ...(found as { stringData?: object }).stringData });
  return keys
    .filter((key) => !held.includes(key))
    .map((key) => `takes '${key}' from ${kind} ${name}, which has no such key`);
}
