import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { type Check, lasting, type Manifest, named, ofKind, type Release } from '../support/manifest.js';

/** Components that are gone at zero: nothing wakes an engine, a shard or a gateway but a call that finds it. */
const neverAtZero = ['gateway', 'engine', 'experts', 'layers'];

export interface Autoscaler {
  readonly manifest: Manifest;
  readonly target: { readonly kind: string; readonly name: string };
  readonly min: number;
  readonly max: number | undefined;
}

export function autoscalers(release: Release): Autoscaler[] {
  const byHpa = ofKind<IHorizontalPodAutoscaler>(release, 'HorizontalPodAutoscaler').map((manifest) => ({
    manifest,
    target: { kind: manifest.spec?.scaleTargetRef.kind ?? '', name: manifest.spec?.scaleTargetRef.name ?? '' },
    min: manifest.spec?.minReplicas ?? 1,
    max: manifest.spec?.maxReplicas,
  }));
  const byKeda = ofKind<IScaledObject>(release, 'ScaledObject').map((manifest) => ({
    manifest,
    target: { kind: manifest.spec.scaleTargetRef.kind ?? 'Deployment', name: manifest.spec.scaleTargetRef.name },
    min: manifest.spec.minReplicaCount ?? 0,
    max: manifest.spec.maxReplicaCount,
  }));
  return [...byHpa, ...byKeda];
}

/** Each autoscaler has a target of its own, which leaves the number to it, and bounds that make sense. */
export const autoscalersHaveTheirTarget: Check = (release) => {
  const faults: string[] = [];
  const taken = new Map<string, Manifest>();
  for (const { manifest, target, min, max } of autoscalers(release)) {
    const key = `${target.kind} ${target.name}`;
    const workload = lasting(release).find(({ kind, name }) => kind === target.kind && name === target.name);
    const other = taken.get(key);
    if (other !== undefined) faults.push(`${named(manifest)} and ${named(other)} both scale ${key}`);
    taken.set(key, manifest);
    if (workload === undefined) {
      faults.push(`${named(manifest)} scales ${key}, which is not there`);
      continue;
    }
    if (workload.replicas !== undefined) {
      faults.push(`${key} says replicas, which ${named(manifest)} decides: each upgrade would undo it`);
    }
    if (max === undefined) faults.push(`${named(manifest)} has no greatest number of replicas`);
    else if (max < Math.max(min, 1)) faults.push(`${named(manifest)} has at most ${max} replicas and at least ${min}`);
    const component = workload.labels['app.kubernetes.io/component'] ?? '';
    if (min < 1 && neverAtZero.includes(component)) {
      faults.push(`${named(manifest)} may take ${key} to zero, from which nothing wakes it`);
    }
    if (min < 1 && manifest.kind === 'HorizontalPodAutoscaler') {
      faults.push(`${named(manifest)} may go to zero, which needs a feature gate: only KEDA does that`);
    }
  }
  for (const { manifest, replicas, kind } of lasting(release)) {
    if (kind === 'DaemonSet' || replicas !== undefined || taken.has(named(manifest))) continue;
    faults.push(`${named(manifest)} says no replicas, and no autoscaler does`);
  }
  return faults;
};
