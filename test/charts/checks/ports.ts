import type { IPodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IProbe } from 'kubernetes-models/v1/Probe';
import type { IService } from 'kubernetes-models/v1/Service';
import { type Check, containers, lasting, named, ofKind, selects, type Workload } from '../support/manifest.js';

type Port = string | number;

/** Whether a container declares a port, by its name or its number. */
function declares({ ports = [] }: IContainer, port: Port): boolean {
  return ports.some(({ name, containerPort }) => name === port || containerPort === port);
}

function probedPorts(probe: IProbe | undefined): Port[] {
  const { grpc, httpGet, tcpSocket } = probe ?? {};
  return [grpc?.port, httpGet?.port, tcpSocket?.port].filter((port) => port !== undefined) as Port[];
}

/** Long-running containers are probed, and at ports that they declare. */
export const probesMeetPorts: Check = (release) =>
  containers(release).flatMap(({ workload, container, init, where }) => {
    const faults: string[] = [];
    for (const name of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
      const probe = container[name];
      if (probe === undefined) {
        if (!init && workload.kind !== 'Job') faults.push(`${where} has no ${name}`);
        continue;
      }
      const ports = probedPorts(probe);
      if (ports.length === 0 && probe.exec === undefined) faults.push(`${where}: its ${name} asks nothing`);
      for (const port of ports) {
        if (!declares(container, port))
          faults.push(`${where}: its ${name} asks port ${port}, which it does not declare`);
      }
    }
    const names = (container.ports ?? []).map(({ name }) => name);
    for (const name of names) {
      if (name !== undefined && name.length > 15)
        faults.push(`${where}: the port's name '${name}' has over 15 letters`);
      if (names.indexOf(name) !== names.lastIndexOf(name)) faults.push(`${where}: two ports are called '${name}'`);
    }
    return faults;
  });

const offers = ({ template }: Workload, port: Port): boolean =>
  (template.spec?.containers ?? []).some((container) => declares(container, port));

/** What a Service or a PodMonitor leads to is a port of the pods. */
export const servicesMeetPorts: Check = (release) => {
  const all = lasting(release);
  const services = ofKind<IService>(release, 'Service').flatMap((service) =>
    (service.spec?.ports ?? []).flatMap(({ port, targetPort = port, name }) => {
      const behind = all.filter(({ labels }) => selects({ matchLabels: service.spec?.selector ?? {} }, labels));
      return behind
        .filter((workload) => !offers(workload, targetPort))
        .map(
          ({ manifest }) =>
            `${named(service)}: port ${name ?? port} leads to ${targetPort}, which ${named(manifest)} has not`,
        );
    }),
  );
  const monitors = ofKind<IPodMonitor>(release, 'PodMonitor').flatMap((monitor) =>
    (monitor.spec.podMetricsEndpoints ?? []).flatMap(({ port }) => {
      if (port === undefined) return [`${named(monitor)} names no port`];
      return all
        .filter(({ labels }) => selects(monitor.spec.selector, labels))
        .filter(
          ({ template }) =>
            !(template.spec?.containers ?? []).some(({ ports = [] }) => ports.some((each) => each.name === port)),
        )
        .map(({ manifest }) => `${named(monitor)} reads port '${port}', which ${named(manifest)} has not`);
    }),
  );
  return [...services, ...monitors];
};
