import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { type Component, calls, components, openToClients } from '../support/architecture.js';
import { type Check, type Labels, ofKind, type Release, workloads } from '../support/manifest.js';
import { connects, type Endpoint } from '../support/network-policies.js';

const ports = { grpc: 7000, metrics: 9090 };
const nats = { port: 4222, protocol: 'TCP' } as const;

/** A pod of each role: the release's own where it has one, else one as another release in the namespace would have it. */
function endpoints(release: Release): (Endpoint & { component: Component; labels: Labels })[] {
  const own = workloads(release);
  return (Object.keys(components) as Component[]).flatMap((component) => {
    const found = own.filter(
      ({ labels }) =>
        labels['app.kubernetes.io/component'] === component && labels['app.kubernetes.io/part-of'] === 'tessera',
    );
    const other: Labels = {
      'app.kubernetes.io/name': `tessera-${components[component]}`,
      'app.kubernetes.io/instance': release.name,
      'app.kubernetes.io/component': component,
      'app.kubernetes.io/part-of': 'tessera',
    };
    return (found.length > 0 ? found.map(({ labels }) => labels) : [other]).map((labels) => ({
      name: component,
      component,
      labels,
      pod: { labels, namespace: release.namespace, ports },
      ip: '10.0.0.7',
    }));
  });
}

const stranger: Endpoint = {
  name: 'a pod of another namespace',
  pod: { labels: {}, namespace: 'other', ports: {} },
  ip: '10.0.9.9',
};
const neighbour = (namespace: string): Endpoint => ({
  name: 'another pod of the namespace',
  pod: { labels: {}, namespace, ports: {} },
  ip: '10.0.0.9',
});
const outside: Endpoint = { name: 'an address outside the cluster', ip: '203.0.113.7' };

/**
 * Every pod of Tessera is held by a policy, in and out; what these let through is what the architecture calls, NATS and names
 * of hosts, and nothing else. Values that let in clients or scrapers are taken at their word; so are further rules.
 */
export const edgesAreTheArchitectures: Check = (release) => {
  const policies = ofKind<INetworkPolicy>(release, 'NetworkPolicy');
  if (policies.length === 0) return [];
  const faults: string[] = [];
  const all = endpoints(release);
  const isOwn = ({ labels }: { labels: Labels }): boolean => workloads(release).some((each) => each.labels === labels);
  const settings = policySettings(release.values);
  const compare = (
    from: Endpoint,
    to: Endpoint,
    port: number,
    expected: boolean,
    protocol: 'TCP' | 'UDP' = 'TCP',
  ): void => {
    const allowed = connects(policies, from, to, { port, protocol });
    if (allowed === expected) return;
    const what = `${from.name} ${allowed ? 'may' : 'may not'} call ${to.name} at ${port}`;
    faults.push(`${what}, which the architecture ${expected ? 'needs' : 'does not have'}`);
  };
  for (const from of all) {
    for (const to of all) {
      if (!isOwn(from) && !isOwn(to)) continue;
      const called = calls.some((call) => call.from === from.component && call.to === to.component);
      // Of two ends in different releases only one is held here: an edge that must be there can be seen, one too many not.
      if (called || (isOwn(from) && isOwn(to))) compare(from, to, ports.grpc, called);
      if (isOwn(from) && isOwn(to)) compare(from, to, ports.metrics, false);
    }
  }
  for (const end of all.filter(isOwn)) {
    for (const caller of [stranger, neighbour(release.namespace)]) {
      if (!settings.clients) compare(caller, end, ports.grpc, openToClients.includes(end.component));
      if (!settings.scrapers) compare(caller, end, ports.metrics, false);
    }
    if (settings.more) continue;
    compare(end, { name: 'NATS', ip: '10.0.3.3' }, nats.port, true);
    // As a policy sees it, behind the Service: DNS of OpenShift has pods at the second one.
    for (const port of [53, 5353]) compare(end, { name: 'DNS', ip: '10.0.3.4' }, port, true, 'UDP');
    // The hub is outside: anywhere, where no peers are named that it is.
    const pulls = settings.pulls && end.component !== 'streams';
    if (!pulls || !settings.hub) for (const port of settings.hubPorts) compare(end, outside, port, pulls);
    compare(end, outside, ports.grpc, false);
  }
  return faults;
};

interface PolicySettings extends Readonly<Record<'clients' | 'scrapers' | 'more' | 'pulls' | 'hub', boolean>> {
  /** The hub's own, and that of the hosts that keep its files. */
  readonly hubPorts: ReadonlySet<number>;
}

/** What the values say of the policies' open ends. */
function policySettings(values: unknown): PolicySettings {
  const found = new Set<string>();
  const hubPorts = new Set([443]);
  let pulls = false;
  const visit = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return;
    for (const [key, value] of Object.entries(node)) {
      if (key === 'networkPolicy' && value !== null) for (const name of Object.keys(value as object)) found.add(name);
      if (key === 'pull' && value !== null) {
        pulls = true;
        const { endpoint } = value as { endpoint?: string };
        if (endpoint) hubPorts.add(portOf(new URL(endpoint)));
      }
      visit(value);
    }
  };
  visit(values);
  return {
    clients: found.has('clients') || found.has('anyClient'),
    scrapers: found.has('scrapers'),
    pulls,
    hub: found.has('hub'),
    hubPorts,
    more: found.has('extraEgress') || found.has('nats') || found.has('dns'),
  };
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'http:' ? 80 : 443;
}
