import { type Check, named } from '../support/manifest.js';

const standard = [
  'app.kubernetes.io/name',
  'app.kubernetes.io/instance',
  'app.kubernetes.io/managed-by',
  'helm.sh/chart',
];

/** Pods of a StatefulSet carry its name with eleven characters more, in a label of at most 63; a LeaderWorkerSet numbers them. */
const longest: Readonly<Record<string, number>> = { StatefulSet: 52, LeaderWorkerSet: 47 };

/** Each object has a name of its own, in the form that Kubernetes takes, the release's namespace and the standard labels. */
export const objectsAreNamed: Check = ({ manifests, name, namespace }) => {
  const seen = new Set<string>();
  return manifests.flatMap((manifest) => {
    const { metadata, kind } = manifest;
    const faults: string[] = [];
    if (seen.has(named(manifest))) faults.push(`${named(manifest)} is there twice`);
    seen.add(named(manifest));
    const most = longest[kind] ?? 63;
    if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(metadata.name) || metadata.name.length > most) {
      faults.push(`${named(manifest)}: the name is not 1 to ${most} lower-case letters, digits and dashes`);
    }
    if (metadata.namespace !== undefined && metadata.namespace !== namespace) {
      faults.push(`${named(manifest)} goes to the namespace ${metadata.namespace}, not to the release's`);
    }
    for (const label of standard) {
      if (!metadata.labels?.[label]) faults.push(`${named(manifest)} lacks the label ${label}`);
    }
    const instance = metadata.labels?.['app.kubernetes.io/instance'];
    if (instance !== undefined && instance !== name)
      faults.push(`${named(manifest)} says it is of the release '${instance}'`);
    for (const [label, value] of Object.entries(metadata.labels ?? {})) {
      if (!/^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/.test(value))
        faults.push(`${named(manifest)}: the label ${label} may not be '${value}'`);
    }
    return faults;
  });
};

/** What syncs a rendered chart (Argo CD, Flux) knows no order of Helm's: all objects must be there to stay. */
export const nothingHooks: Check = ({ manifests }) =>
  manifests.flatMap((manifest) =>
    Object.keys(manifest.metadata.annotations ?? {})
      .filter((key) => key.startsWith('helm.sh/hook') || key.startsWith('argocd.argoproj.io/hook'))
      .map((key) => `${named(manifest)} is a hook (${key})`),
  );
