import type { IPodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor';
import type { IStatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IService } from 'kubernetes-models/v1/Service';
import { type Check, lasting, type Manifest, named, ofKind, selects, type Workload } from '../support/manifest.js';

/** Labels that change with a version: in a selector, which may not change, they would forbid every upgrade. */
const changing = ['helm.sh/chart', 'app.kubernetes.io/version'];

/** Whoever selects pods selects some, and nobody else's. */
export const selectorsMeetPods: Check = (release) => {
  const all = lasting(release);
  const faults: string[] = [];
  const matched = (where: Manifest, selector: Parameters<typeof selects>[0]): Workload[] => {
    const found = all.filter(({ labels }) => selects(selector, labels));
    if (found.length === 0) faults.push(`${named(where)} selects the pods of nothing`);
    return found;
  };
  const matchedOne = (where: Manifest, selector: Parameters<typeof selects>[0]): void => {
    const names = new Set(matched(where, selector).map(({ manifest }) => named(manifest)));
    if (names.size > 1) faults.push(`${named(where)} selects the pods of ${[...names].join(' and ')}`);
  };
  for (const { manifest, selector, labels, template } of all) {
    if (selector === undefined) continue;
    if (!selects(selector, labels)) faults.push(`${named(manifest)} does not select its own pods`);
    matchedOne(manifest, selector);
    for (const key of changing) {
      if (selector.matchLabels?.[key] !== undefined) {
        faults.push(`${named(manifest)} selects by ${key}, which changes, and its selector may not`);
      }
    }
    for (const spread of template.spec?.topologySpreadConstraints ?? []) {
      if (!selects(spread.labelSelector, labels)) {
        faults.push(`${named(manifest)} spreads pods over ${spread.topologyKey} that are not its own`);
      }
    }
  }
  for (const budget of ofKind<IPodDisruptionBudget>(release, 'PodDisruptionBudget')) {
    const components = matched(budget, budget.spec?.selector).map(
      ({ labels }) => labels['app.kubernetes.io/component'],
    );
    if (new Set(components).size > 1) faults.push(`${named(budget)} is over ${[...new Set(components)].join(' and ')}`);
  }
  for (const service of ofKind<IService>(release, 'Service')) {
    if (service.spec?.selector !== undefined) matchedOne(service, { matchLabels: service.spec.selector });
  }
  for (const monitor of ofKind<IPodMonitor>(release, 'PodMonitor')) matched(monitor, monitor.spec.selector);
  for (const policy of ofKind<INetworkPolicy>(release, 'NetworkPolicy')) {
    if (policy.spec !== undefined && policy.spec.podSelector !== undefined) {
      const jobs = release.manifests.some(
        (each) => each.kind === 'Job' && selects(policy.spec?.podSelector, podLabels(each)),
      );
      if (!jobs) matched(policy, policy.spec.podSelector);
    }
  }
  return faults;
};

/** A StatefulSet's pods have names only through the headless Service that it names. */
export const statefulSetsHaveTheirService: Check = (release) => {
  const services = ofKind<IService>(release, 'Service');
  return ofKind<IStatefulSet>(release, 'StatefulSet').flatMap((set) => {
    const { serviceName, template } = set.spec ?? { serviceName: undefined, template: undefined };
    const service = services.find(({ metadata }) => metadata.name === serviceName);
    if (service === undefined) return [`${named(set)} names the Service '${serviceName}', which is not there`];
    if (service.spec?.clusterIP !== 'None') return [`${named(set)} needs a headless Service; ${serviceName} is none`];
    const labels = template?.metadata?.labels ?? {};
    return selects({ matchLabels: service.spec.selector ?? {} }, labels)
      ? []
      : [`${named(set)}: its Service ${serviceName} does not select its pods`];
  });
};

function podLabels({ spec }: Manifest): Readonly<Record<string, string>> {
  return (spec as { template?: { metadata?: { labels?: Record<string, string> } } }).template?.metadata?.labels ?? {};
}
