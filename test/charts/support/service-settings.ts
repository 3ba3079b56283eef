import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectorSettings } from '@tessera/connector';
import { encoderSettings } from '@tessera/encoder';
import { gatewaySettings } from '@tessera/gateway';
import { generatorSettings } from '@tessera/generator';
import { llmSettings } from '@tessera/llm';
import type { Settings, SettingsSchema } from '@tessera/service';
import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import { loadSettings } from '../../../packages/service/src/settings/load-settings.js';
import { containers, type PlacedContainer, type Release } from './manifest.js';

/** The settings of each service, by the name that its pods have in app.kubernetes.io/name. */
const schemas: Readonly<Record<string, SettingsSchema>> = {
  'tessera-encoder': encoderSettings,
  'tessera-connector': connectorSettings,
  'tessera-llm': llmSettings,
  'tessera-generator': generatorSettings,
  'tessera-gateway': gatewaySettings,
};

/** A container that runs one of the services, with what it would read at its start. */
export interface ServiceContainer extends PlacedContainer {
  readonly service: string;
  readonly schema: SettingsSchema;
  readonly env: Readonly<Record<string, string>>;
  /** The settings file that TESSERA_CONFIG names, if any, as the pod would find it. */
  readonly file: string | undefined;
}

/** The containers of the services, without those that only prepare something for them. */
export function serviceContainers(release: Release): ServiceContainer[] {
  return containers(release).flatMap((placed) => {
    const service = placed.workload.labels['app.kubernetes.io/name'] ?? '';
    const schema = schemas[service];
    if (schema === undefined || placed.init || placed.workload.kind === 'Job') return [];
    // Sidecars that somebody adds have another name than the pod's first container.
    if (placed.container.name !== placed.workload.template.spec?.containers[0]?.name) return [];
    const env = environment(placed.container.env ?? []);
    return [
      {
        ...placed,
        service: service.slice('tessera-'.length),
        schema,
        env,
        file: fileAt(release, placed, env.TESSERA_CONFIG),
      },
    ];
  });
}

/**
 * The settings that the service itself would make of its variables, its file and its flags.
 * @throws TesseraError CONFIG_INVALID with the sentence that the pod would end with
 */
export function settingsOf({ service, schema, env, file, container }: ServiceContainer): Settings<SettingsSchema> {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-chart-settings-'));
  try {
    const { TESSERA_CONFIG: path, ...rest } = env;
    if (file === undefined) return loadSettings(service, schema, container.args ?? [], path === undefined ? rest : env);
    const copy = join(folder, 'config.yaml');
    writeFileSync(copy, file);
    return loadSettings(service, schema, container.args ?? [], { ...rest, TESSERA_CONFIG: copy });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The settings, or none where the service would not start: the check of the settings says so. */
export function readable(container: ServiceContainer): Readonly<Record<string, unknown>> {
  try {
    return settingsOf(container);
  } catch {
    return {};
  }
}

/** What only a node knows of a pod; any other field is a number. */
export const ofNode: Readonly<Record<string, string>> = { 'metadata.name': 'pod-0', 'status.podIP': '192.0.2.1' };

/** The variables as a container gets them: `$(NAME)` is what an earlier one holds. */
function environment(variables: readonly IEnvVar[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const { name, value, valueFrom } of variables) {
    if (valueFrom?.fieldRef !== undefined) env[name] = ofNode[valueFrom.fieldRef.fieldPath] ?? '1';
    else if (valueFrom !== undefined) env[name] = '1';
    else env[name] = (value ?? '').replaceAll(/\$\((\w+)\)/g, (whole, other: string) => env[other] ?? whole);
  }
  return env;
}

/** The volume that a path of a container lies in, and where in it. */
export function mountAt({ container, workload }: PlacedContainer, path: string) {
  const mount = (container.volumeMounts ?? [])
    .filter(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath.replace(/\/$/, '')}/`))
    .sort((a, b) => b.mountPath.length - a.mountPath.length)[0];
  if (mount === undefined) return undefined;
  const inside = [mount.subPath, path.slice(mount.mountPath.length).replace(/^\//, '')].filter(Boolean).join('/');
  const volume = (workload.template.spec?.volumes ?? []).find(({ name }) => name === mount.name);
  return { mount, volume, inside };
}

function fileAt(release: Release, placed: PlacedContainer, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const found = mountAt(placed, path);
  const { name, items } = found?.volume?.configMap ?? {};
  const map = release.manifests.find((each) => each.kind === 'ConfigMap' && each.metadata.name === name);
  const key = items === undefined ? found?.inside : items.find((item) => item.path === found?.inside)?.key;
  return key === undefined ? undefined : map?.data?.[key];
}
