import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { type Check, lasting, named, ofKind, selects } from '../support/manifest.js';
import { autoscalers } from './autoscaling.js';

/** `2`, or `50%` of so many; a part of a pod counts as a whole one, as Kubernetes rounds it. */
function count(value: number | string, replicas: number): number {
  return typeof value === 'number' ? value : Math.ceil((Number.parseFloat(value) / 100) * replicas);
}

/**
 * With however many replicas there may be, a budget lets one be evicted, since a drain would else wait for ever; and with two
 * or more it keeps one.
 */
export const budgetsLeaveOne: Check = (release) => {
  const scalers = autoscalers(release);
  return ofKind<IPodDisruptionBudget>(release, 'PodDisruptionBudget').flatMap((budget) => {
    const { selector, minAvailable, maxUnavailable } = budget.spec ?? {};
    if ((minAvailable === undefined) === (maxUnavailable === undefined)) {
      return [`${named(budget)} must have one of minAvailable and maxUnavailable`];
    }
    // One budget may be over several workloads: of all their pods together.
    const held = lasting(release).filter(({ labels }) => selects(selector, labels));
    const scalerOf = (name: string) => scalers.find(({ target }) => target.name === name);
    const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);
    const least = sum(held.map(({ name, replicas = 1 }) => Math.max(scalerOf(name)?.min ?? replicas, 1)));
    const most = sum(held.map(({ name, replicas = 1 }) => Math.max(scalerOf(name)?.max ?? replicas, 1)));
    for (let have = least; have <= most; have++) {
      const kept = minAvailable !== undefined ? count(minAvailable, have) : have - count(maxUnavailable ?? 0, have);
      const of = `${named(budget)}: of ${have} of ${held.map(({ manifest }) => named(manifest)).join(' and ')}`;
      if (kept >= have) return [`${of} none may be evicted, so that a node with one is never drained`];
      if (kept < 1 && have > 1) return [`${of} all may be evicted at once`];
    }
    return [];
  });
};
