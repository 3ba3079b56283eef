import { describeSettings } from '@tessera/service';
import { type Check, isGiven } from '../support/manifest.js';
import { mountAt, readable, serviceContainers, settingsOf } from '../support/service-settings.js';

/** Each variable is a setting of the service that gets it, and the service would start with all that it is given. */
export const settingsAreTheServices: Check = (release) =>
  serviceContainers(release).flatMap((container) => {
    const { where, service, schema, env, file } = container;
    const known = new Set(['TESSERA_CONFIG', ...describeSettings(schema).map(({ environment }) => environment)]);
    const faults = Object.keys(env)
      .filter((name) => name.startsWith('TESSERA_') && !known.has(name) && !isGiven(release.values, name))
      .map((name) => `${where}: ${name} is no setting of the ${service}`);
    const names = (container.container.env ?? []).map(({ name }) => name);
    for (const name of new Set(names)) {
      if (names.indexOf(name) !== names.lastIndexOf(name)) faults.push(`${where} has ${name} twice`);
    }
    if (env.TESSERA_CONFIG !== undefined && file === undefined) {
      faults.push(`${where}: there is no file ${env.TESSERA_CONFIG}, which TESSERA_CONFIG names`);
      return faults;
    }
    try {
      settingsOf(container);
    } catch (error) {
      faults.push(`${where} would not start: ${(error as Error).message}`);
    }
    return faults;
  });

/** Each file and folder that a setting names is mounted; of a Secret or a ConfigMap, the very file. */
export const filesAreMounted: Check = (release) =>
  serviceContainers(release).flatMap((container) =>
    Object.entries(readable(container)).flatMap(([key, value]) => {
      if (!/(File|\.dir)$/.test(key) || typeof value !== 'string') return [];
      const found = mountAt(container, value);
      const lies = `${container.where}: ${key} is ${value}`;
      if (found === undefined) return [`${lies}, where nothing is mounted`];
      const items = found.volume?.secret?.items ?? found.volume?.configMap?.items;
      if (items === undefined || items.some(({ path }) => path === found.inside)) return [];
      return [`${lies}, and the volume '${found.mount.name}' has no such file`];
    }),
  );

/** What the ports, the drain and the address of a pod say, the settings say too. */
export const settingsMeetThePod: Check = (release) =>
  serviceContainers(release).flatMap((container) => {
    const { where, workload } = container;
    const settings = readable(container);
    const faults: string[] = [];
    for (const name of ['grpc', 'metrics'] as const) {
      const declared = container.container.ports?.find((port) => port.name === name)?.containerPort;
      const listens = settings[`${name}.port`];
      if (declared !== listens) faults.push(`${where}: port '${name}' is ${declared}, and ${name}.port is ${listens}`);
      if (settings[`${name}.host`] === '127.0.0.1')
        faults.push(`${where}: ${name}.host is 127.0.0.1, which nobody reaches`);
    }
    const { terminationGracePeriodSeconds: grace = 30 } = workload.template.spec ?? {};
    const preStop = container.container.lifecycle?.preStop?.sleep?.seconds ?? 0;
    const needs = preStop * 1000 + Number(settings['drain.graceMs']) + Number(settings['traces.flushMs']);
    if (grace * 1000 <= needs)
      faults.push(`${where} is ended after ${grace} s, and may take ${needs / 1000} s to stop`);
    const longest = Number(settings['grpc.maxDeadlineMs']);
    if (Number(settings['drain.graceMs']) < longest && !isGivenKey(release.values, 'graceMs')) {
      faults.push(
        `${where}: drain.graceMs is ${settings['drain.graceMs']}, less than the longest request (${longest})`,
      );
    }
    return faults;
  });

function isGivenKey(values: unknown, key: string): boolean {
  if (values === null || typeof values !== 'object') return false;
  return Object.entries(values).some(([name, each]) => name === key || isGivenKey(each, key));
}
