import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { INetworkPolicyPeer } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyPeer';
import type { INetworkPolicyPort } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyPort';
import { type Labels, selects } from './manifest.js';

/** One end of a connection: a pod, or an address outside the cluster, which has no labels. */
export interface Endpoint {
  readonly name: string;
  /** Absent for what is no pod. */
  readonly pod?: {
    readonly labels: Labels;
    readonly namespace: string;
    readonly ports: Readonly<Record<string, number>>;
  };
  readonly ip: string;
}

export interface Target {
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
}

/** Whether the policies let `from` open a connection to `to`: out of the one's pod and into the other's. */
export function connects(policies: readonly INetworkPolicy[], from: Endpoint, to: Endpoint, target: Target): boolean {
  return passes(policies, 'Egress', from, to, to, target) && passes(policies, 'Ingress', to, from, to, target);
}

/** One direction: a pod that no policy holds in it is open; else one rule must let the other end through. */
function passes(
  policies: readonly INetworkPolicy[],
  direction: 'Egress' | 'Ingress',
  held: Endpoint,
  other: Endpoint,
  to: Endpoint,
  target: Target,
): boolean {
  const { pod } = held;
  if (pod === undefined) return true;
  const holding = policies.filter(
    ({ metadata, spec }) =>
      (metadata?.namespace ?? pod.namespace) === pod.namespace &&
      selects(spec?.podSelector ?? {}, pod.labels) &&
      (spec?.policyTypes ?? ['Ingress']).includes(direction),
  );
  if (holding.length === 0) return true;
  return holding.some(({ spec }) => {
    const rules =
      direction === 'Ingress'
        ? (spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
        : (spec?.egress ?? []).map(({ to: peers, ports }) => ({ peers, ports }));
    return rules.some(
      ({ peers, ports }) =>
        (peers === undefined || peers.length === 0 || peers.some((peer) => isPeer(peer, other, pod.namespace))) &&
        (ports === undefined || ports.length === 0 || ports.some((port) => isPort(port, to, target))),
    );
  });
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: INetworkPolicyPeer, end: Endpoint, home: string): boolean {
  if (ipBlock !== undefined) {
    return inside(end.ip, ipBlock.cidr) && !(ipBlock.except ?? []).some((cidr) => inside(end.ip, cidr));
  }
  if (end.pod === undefined) return false;
  const { labels, namespace } = end.pod;
  const inNamespace =
    namespaceSelector === undefined
      ? namespace === home
      : selects(namespaceSelector, { 'kubernetes.io/metadata.name': namespace });
  return inNamespace && (podSelector === undefined || selects(podSelector, labels));
}

/** A port's name is that of the pod which is called. */
function isPort({ port, endPort, protocol = 'TCP' }: INetworkPolicyPort, to: Endpoint, target: Target): boolean {
  if (protocol !== target.protocol) return false;
  if (port === undefined) return true;
  const number = typeof port === 'number' ? port : to.pod?.ports[port];
  return number !== undefined && target.port >= number && target.port <= (endPort ?? number);
}

/** Whether an IPv4 address lies in a block such as 10.0.0.0/8. */
function inside(ip: string, cidr: string): boolean {
  const [base = '', bits = '32'] = cidr.split('/');
  const number = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  return Math.floor(number(ip) / size) === Math.floor(number(base) / size);
}
