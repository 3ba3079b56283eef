import type { IService } from 'kubernetes-models/v1/Service';
import { type Component, calls } from '../support/architecture.js';
import { type Check, isGiven, ofKind, type Release } from '../support/manifest.js';
import { ofNode, readable, type ServiceContainer, serviceContainers } from '../support/service-settings.js';

/** What all services of a deployment must be told alike: whoever starts last makes the streams. */
const shared =
  /^(grpc\.maxDeadlineMs|nats\.(prefix|shards|replicas|partBytes|maxJobs|\w+Bytes|uploadMs|revisionIdleMs))$/;
/** Bytes that each process holds for itself. */
const ownBytes = ['nats.maxTensorBytes', 'nats.maxPendingBytes'];

/** Services of one release have the same streams. */
export const sharedSettingsAgree: Check = (release) => {
  const [first, ...others] = serviceContainers(release);
  if (first === undefined) return [];
  const expected = readable(first);
  return others.flatMap((other) =>
    Object.entries(readable(other)).flatMap(([key, value]) =>
      !shared.test(key) || ownBytes.includes(key) || value === expected[key]
        ? []
        : [`${other.where}: ${key} is ${value}, and in ${first.where} ${expected[key]}`],
    ),
  );
};

/** NATS is a Service of the release, at a port that it has, or where the values say. */
export const natsIsReached: Check = (release) =>
  serviceContainers(release).flatMap(({ where, env }) => {
    const url = env.TESSERA_NATS_URL;
    if (url === undefined) return [`${where} is not told where NATS is`];
    if (isGiven(release.values, url)) return [];
    return url.split(',').flatMap((each) => {
      const { hostname, port } = new URL(each);
      return serves(release, hostname, Number(port || 4222))
        ? []
        : [`${where}: nothing serves ${each}, and no value names it`];
    });
  });

/** What an engine or a shard announces is its own pod, by a name that the cluster knows, at the port that it listens on. */
export const engineAddressesLead: Check = (release) =>
  serviceContainers(release).flatMap((container) => {
    const settings = readable(container);
    if (container.service !== 'llm' || settings.role === undefined) return [];
    const address = String(settings['engine.advertise'] ?? '');
    const [host = '', port] = address.split(':');
    const [pod, subdomain = '', namespace = release.namespace] = host.split('.');
    const { manifest } = container.workload;
    const says = `${container.where} announces '${address}'`;
    if (Number(port) !== settings['grpc.port']) return [`${says}, and listens on port ${settings['grpc.port']}`];
    if (host === ofNode['status.podIP']) return [];
    if (pod !== ofNode['metadata.name'] || namespace !== release.namespace) return [`${says}, which is not its pod`];
    // A LeaderWorkerSet makes the Service itself, by its own name.
    const name =
      manifest.kind === 'LeaderWorkerSet'
        ? manifest.metadata.name
        : (manifest.spec as { serviceName?: string }).serviceName;
    return subdomain === name ? [] : [`${says}, and the names of its pods are those of the Service ${name}`];
  });

/** Whoever serves TLS is called with its CA, and whoever asks for certificates is shown one; where there is none, none is expected. */
export const callersSpeakTls: Check = (release) => {
  const all = serviceContainers(release);
  const of = (component: Component): ServiceContainer[] =>
    all.filter(({ workload }) => workload.labels['app.kubernetes.io/component'] === component);
  return calls.flatMap(({ from, to, settings: prefix }) =>
    of(from).flatMap((caller) =>
      of(to).flatMap((callee) => {
        const [mine, theirs] = [readable(caller), readable(callee)];
        const pair = `${caller.where} calls ${callee.where}`;
        const [ca, certificate] = [mine[`${prefix}.caFile`], mine[`${prefix}.certFile`]];
        if (theirs['grpc.certFile'] !== undefined && ca === undefined)
          return [`${pair}, which has TLS, without ${prefix}.caFile`];
        if (theirs['grpc.certFile'] === undefined && ca !== undefined) return [`${pair} with TLS, which it has not`];
        if (theirs['grpc.clientCaFile'] !== undefined && certificate === undefined)
          return [`${pair} without ${prefix}.certFile, which it asks for`];
        return [];
      }),
    ),
  );
};

/** A pod that has a GPU uses it, and one that uses one has it. */
export const devicesAreThere: Check = (release) =>
  serviceContainers(release).flatMap((container) => {
    const { limits = {}, claims = [] } = container.container.resources ?? {};
    const has = claims.length > 0 || Object.keys(limits).some((name) => name.includes('/'));
    const { device } = readable(container);
    if (device === undefined || has === (device === 'cuda')) return [];
    return [`${container.where}: device is ${device}, and its pod has ${has ? 'a' : 'no'} GPU`];
  });

function serves(release: Release, host: string, port: number): boolean {
  const [name, namespace = release.namespace] = host.split('.');
  return ofKind<IService>(release, 'Service').some(
    ({ metadata, spec }) =>
      metadata.name === name && namespace === release.namespace && spec?.ports?.some((each) => each.port === port),
  );
}
