import { kubectl } from './kubernetes.js';
import type { Namespace } from './namespace.js';

/** A claim of a folder that all nodes have, as they have a network volume. Disposed of, the claim goes with its namespace. */
export async function modelClaim(namespace: Namespace, path: string, name = 'model'): Promise<AsyncDisposable> {
  const volumeName = `${name}-${namespace.name}`;
  const shared = { storageClassName: '', accessModes: ['ReadOnlyMany'] };
  const claim = { name, namespace: namespace.name };
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: volumeName },
    spec: { ...shared, capacity: { storage: '1Gi' }, hostPath: { path, type: 'Directory' }, claimRef: claim },
  });
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: claim.name },
    spec: { ...shared, volumeName, resources: { requests: { storage: '1Gi' } } },
  });
  return {
    [Symbol.asyncDispose]: () =>
      kubectl(['delete', 'pv', volumeName, '--wait=false', '--ignore-not-found']).then(() => undefined),
  };
}
