import { expect, test } from 'vitest';
import { checks } from './checks/index.js';
import { type Manifest, named } from './support/manifest.js';
import { soundRelease } from './support/sound-release.js';

type Name = keyof typeof checks;

/** A check, the object that is changed, the path of what is changed in it, its new value, and what the check says then. */
type Fault = readonly [check: Name, object: string, path: string, value: unknown, says: string];

const pod = 'spec.template.spec';
const container = `${pod}.containers.0`;
const variable = (index: number): string => `${container}.env.${index}.value`;
const strangers = { 'app.kubernetes.io/name': 'somebody' };

const faults: readonly Fault[] = [
  [
    'selectorsMeetPods',
    'Deployment demo-gateway',
    'spec.selector.matchLabels',
    strangers,
    'does not select its own pods',
  ],
  [
    'selectorsMeetPods',
    'Deployment demo-gateway',
    'spec.selector.matchLabels',
    { 'app.kubernetes.io/part-of': 'tessera' },
    'selects the pods of Deployment demo-encoder and StatefulSet demo-engine and Deployment demo-gateway',
  ],
  [
    'selectorsMeetPods',
    'Service demo-gateway',
    'spec.selector',
    strangers,
    'Service demo-gateway selects the pods of nothing',
  ],
  [
    'selectorsMeetPods',
    'PodDisruptionBudget demo-engine',
    'spec.selector.matchLabels',
    strangers,
    'PodDisruptionBudget demo-engine selects the pods of nothing',
  ],
  [
    'selectorsMeetPods',
    'PodMonitor demo-gateway',
    'spec.selector.matchLabels',
    strangers,
    'PodMonitor demo-gateway selects the pods of nothing',
  ],
  [
    'selectorsMeetPods',
    'NetworkPolicy demo-engine',
    'spec.podSelector.matchLabels',
    strangers,
    'NetworkPolicy demo-engine selects the pods of nothing',
  ],
  [
    'selectorsMeetPods',
    'StatefulSet demo-engine',
    'spec.selector.matchLabels',
    { 'helm.sh/chart': 'tessera-llm-0.1.0' },
    'selects by helm.sh/chart',
  ],
  [
    'selectorsMeetPods',
    'Deployment demo-gateway',
    `${pod}.topologySpreadConstraints.0.labelSelector.matchLabels`,
    strangers,
    'spreads pods over kubernetes.io/hostname that are not its own',
  ],
  [
    'statefulSetsHaveTheirService',
    'StatefulSet demo-engine',
    'spec.serviceName',
    'demo',
    "names the Service 'demo', which is not there",
  ],
  [
    'statefulSetsHaveTheirService',
    'StatefulSet demo-engine',
    'spec.serviceName',
    'demo-gateway',
    'needs a headless Service',
  ],
  ['statefulSetsHaveTheirService', 'Service demo-engine', 'spec.selector', strangers, 'does not select its pods'],
  [
    'probesMeetPorts',
    'Deployment demo-gateway',
    `${container}.readinessProbe.grpc.port`,
    7001,
    'its readinessProbe asks port 7001',
  ],
  [
    'probesMeetPorts',
    'Deployment demo-gateway',
    `${container}.livenessProbe.httpGet.port`,
    'http',
    'its livenessProbe asks port http',
  ],
  ['probesMeetPorts', 'Deployment demo-gateway', `${container}.startupProbe`, undefined, 'has no startupProbe'],
  ['probesMeetPorts', 'Deployment demo-gateway', `${container}.startupProbe`, {}, 'its startupProbe asks nothing'],
  ['probesMeetPorts', 'Deployment demo-gateway', `${container}.ports.1.name`, 'grpc', "two ports are called 'grpc'"],
  [
    'probesMeetPorts',
    'Deployment demo-gateway',
    `${container}.ports.0.name`,
    'grpc-for-everybody',
    'has over 15 letters',
  ],
  [
    'servicesMeetPorts',
    'Service demo-gateway',
    'spec.ports.0.targetPort',
    'http',
    'leads to http, which Deployment demo-gateway has not',
  ],
  [
    'servicesMeetPorts',
    'PodMonitor demo-gateway',
    'spec.podMetricsEndpoints.0.port',
    'http',
    "reads port 'http', which Deployment demo-gateway has not",
  ],
  [
    'autoscalersHaveTheirTarget',
    'ScaledObject demo-encoder',
    'spec.scaleTargetRef.name',
    'demo-gateway',
    'both scale Deployment demo-gateway',
  ],
  [
    'autoscalersHaveTheirTarget',
    'HorizontalPodAutoscaler demo-gateway',
    'spec.scaleTargetRef.kind',
    'StatefulSet',
    'scales StatefulSet demo-gateway, which is not there',
  ],
  [
    'autoscalersHaveTheirTarget',
    'Deployment demo-encoder',
    'spec.replicas',
    1,
    'says replicas, which ScaledObject demo-encoder decides',
  ],
  [
    'autoscalersHaveTheirTarget',
    'StatefulSet demo-engine',
    'spec.replicas',
    undefined,
    'says no replicas, and no autoscaler does',
  ],
  [
    'autoscalersHaveTheirTarget',
    'HorizontalPodAutoscaler demo-gateway',
    'spec.maxReplicas',
    1,
    'has at most 1 replicas and at least 2',
  ],
  [
    'autoscalersHaveTheirTarget',
    'ScaledObject demo-encoder',
    'spec.maxReplicaCount',
    undefined,
    'has no greatest number of replicas',
  ],
  [
    'autoscalersHaveTheirTarget',
    'HorizontalPodAutoscaler demo-gateway',
    'spec.minReplicas',
    0,
    'may go to zero, which needs a feature gate',
  ],
  [
    'autoscalersHaveTheirTarget',
    'HorizontalPodAutoscaler demo-gateway',
    'spec.minReplicas',
    0,
    'to zero, from which nothing wakes it',
  ],
  [
    'budgetsLeaveOne',
    'PodDisruptionBudget demo-engine',
    'spec.maxUnavailable',
    2,
    'of 2 of StatefulSet demo-engine all may be evicted',
  ],
  [
    'budgetsLeaveOne',
    'PodDisruptionBudget demo-engine',
    'spec',
    { minAvailable: 2, selector: { matchLabels: {} } },
    'none may be evicted',
  ],
  [
    'budgetsLeaveOne',
    'PodDisruptionBudget demo-gateway',
    'spec.maxUnavailable',
    '0%',
    'of 2 of Deployment demo-gateway none may be evicted',
  ],
  [
    'budgetsLeaveOne',
    'PodDisruptionBudget demo-gateway',
    'spec.minAvailable',
    1,
    'must have one of minAvailable and maxUnavailable',
  ],
  ['containersAreHeld', 'Deployment demo-encoder', `${pod}.securityContext.runAsNonRoot`, false, 'may run as root'],
  ['containersAreHeld', 'Deployment demo-encoder', `${pod}.securityContext.runAsUser`, 0, 'has no user of its own'],
  [
    'containersAreHeld',
    'Deployment demo-encoder',
    `${container}.securityContext.readOnlyRootFilesystem`,
    undefined,
    'may write to its root',
  ],
  [
    'containersAreHeld',
    'Deployment demo-encoder',
    `${container}.securityContext.allowPrivilegeEscalation`,
    undefined,
    'may gain privileges',
  ],
  ['containersAreHeld', 'Deployment demo-encoder', `${container}.securityContext.privileged`, true, 'is privileged'],
  [
    'containersAreHeld',
    'Deployment demo-encoder',
    `${container}.securityContext.capabilities.add`,
    ['SYS_ADMIN'],
    'keeps capabilities',
  ],
  [
    'containersAreHeld',
    'Deployment demo-encoder',
    `${pod}.securityContext.seccompProfile`,
    undefined,
    'has no seccomp profile',
  ],
  ['containersAreHeld', 'Deployment demo-encoder', `${container}.resources.requests.cpu`, undefined, 'requests no cpu'],
  [
    'containersAreHeld',
    'Deployment demo-encoder',
    `${container}.resources.limits`,
    undefined,
    'has no limit of memory',
  ],
  [
    'containersAreHeld',
    'Deployment demo-encoder',
    `${pod}.initContainers`,
    [{ name: 'compile', image: 'a:1' }],
    'container compile may write to its root',
  ],
  [
    'podsStayApart',
    'Deployment demo-encoder',
    `${pod}.automountServiceAccountToken`,
    undefined,
    'gives its pods a token',
  ],
  ['podsStayApart', 'Deployment demo-encoder', `${pod}.hostNetwork`, true, 'shares a namespace of the node'],
  [
    'podsStayApart',
    'Deployment demo-encoder',
    `${pod}.volumes.0`,
    { name: 'config', hostPath: { path: '/etc' } },
    'mounts /etc of the node',
  ],
  [
    'imagesArePinned',
    'Deployment demo-encoder',
    `${container}.image`,
    'registry.example:5000/tessera-encoder',
    'has neither a tag that stays nor a digest',
  ],
  [
    'imagesArePinned',
    'Deployment demo-encoder',
    `${container}.image`,
    'tessera-encoder:latest',
    'has neither a tag that stays nor a digest',
  ],
  [
    'mountsMeetVolumes',
    'Deployment demo-encoder',
    `${container}.volumeMounts.1.name`,
    'models',
    "mounts 'models', which is no volume",
  ],
  [
    'mountsMeetVolumes',
    'Deployment demo-encoder',
    `${container}.volumeMounts.1.name`,
    'models',
    "has the volume 'model', which nobody mounts",
  ],
  [
    'mountsMeetVolumes',
    'Deployment demo-encoder',
    `${container}.volumeMounts.1.mountPath`,
    '/etc/tessera/nats',
    'mounts two volumes on /etc/tessera/nats',
  ],
  ['mountsMeetVolumes', 'Deployment demo-encoder', `${pod}.volumes.1.name`, 'nats', "has two volumes 'nats'"],
  [
    'referencesLead',
    'Deployment demo-encoder',
    `${pod}.volumes.0.configMap.name`,
    'demo',
    'takes from ConfigMap demo, which is not there',
  ],
  [
    'referencesLead',
    'Deployment demo-encoder',
    `${pod}.volumes.0.configMap.items`,
    [{ key: 'settings', path: 'config.yaml' }],
    "takes 'settings' from ConfigMap demo-encoder",
  ],
  [
    'referencesLead',
    'Deployment demo-encoder',
    `${pod}.volumes.1.persistentVolumeClaim.claimName`,
    'other',
    'takes from PersistentVolumeClaim other',
  ],
  [
    'referencesLead',
    'Deployment demo-encoder',
    `${pod}.volumes.2.secret.secretName`,
    'other',
    'takes from Secret other',
  ],
  [
    'referencesLead',
    'Deployment demo-encoder',
    `${pod}.serviceAccountName`,
    'other',
    'takes from ServiceAccount other',
  ],
  [
    'referencesLead',
    'Deployment demo-encoder',
    `${container}.env.8`,
    { name: 'A', valueFrom: { secretKeyRef: { name: 'other', key: 'a' } } },
    'takes from Secret other',
  ],
  [
    'settingsAreTheServices',
    'Deployment demo-encoder',
    `${container}.env.8`,
    { name: 'TESSERA_ENGINE_BACKEND', value: 'node' },
    'TESSERA_ENGINE_BACKEND is no setting of the encoder',
  ],
  [
    'settingsAreTheServices',
    'Deployment demo-encoder',
    `${container}.env.8`,
    { name: 'TESSERA_GRPC_PORT', value: '7000' },
    'has TESSERA_GRPC_PORT twice',
  ],
  [
    'settingsAreTheServices',
    'Deployment demo-encoder',
    variable(3),
    'seven',
    'would not start: TESSERA_GRPC_PORT is not valid',
  ],
  [
    'settingsAreTheServices',
    'ConfigMap demo-encoder',
    'data',
    { 'config.yaml': 'batch:\n  maximum: 4\n' },
    "the encoder has no setting 'batch.maximum'",
  ],
  [
    'settingsAreTheServices',
    'ConfigMap demo-engine',
    'data',
    { 'config.yaml': 'engine:\n  maxRunning: many\n' },
    'would not start',
  ],
  ['settingsAreTheServices', 'ConfigMap demo-encoder', 'data', {}, 'there is no file /etc/tessera/config.yaml'],
  [
    'filesAreMounted',
    'Deployment demo-encoder',
    variable(7),
    '/etc/tessera/nats/seed.nk',
    "the volume 'nats' has no such file",
  ],
  ['filesAreMounted', 'Deployment demo-encoder', variable(1), '/srv/models', 'where nothing is mounted'],
  ['settingsMeetThePod', 'Deployment demo-encoder', variable(3), '7001', "port 'grpc' is 7000, and grpc.port is 7001"],
  ['settingsMeetThePod', 'Deployment demo-encoder', variable(4), '127.0.0.1', 'metrics.host is 127.0.0.1'],
  [
    'settingsMeetThePod',
    'Deployment demo-encoder',
    `${pod}.terminationGracePeriodSeconds`,
    607,
    'is ended after 607 s, and may take 607 s to stop',
  ],
  [
    'settingsMeetThePod',
    'Deployment demo-encoder',
    variable(6),
    '30000',
    'drain.graceMs is 30000, less than the longest request (600000)',
  ],
  ['objectsAreNamed', 'Service demo-gateway', 'metadata.name', 'demo_gateway', 'the name is not 1 to 63'],
  ['objectsAreNamed', 'StatefulSet demo-engine', 'metadata.name', 'e'.repeat(53), 'the name is not 1 to 52'],
  ['objectsAreNamed', 'Service demo-gateway', 'metadata.name', 'demo-engine', 'Service demo-engine is there twice'],
  ['objectsAreNamed', 'Service demo-gateway', 'metadata.namespace', 'default', 'goes to the namespace default'],
  ['objectsAreNamed', 'Service demo-gateway', 'metadata.labels', {}, 'lacks the label helm.sh/chart'],
  [
    'objectsAreNamed',
    'ConfigMap demo-gateway',
    'metadata.labels',
    { 'app.kubernetes.io/instance': 'other' },
    "says it is of the release 'other'",
  ],
  ['objectsAreNamed', 'ConfigMap demo-gateway', 'metadata.labels', { a: 'b c' }, "the label a may not be 'b c'"],
  [
    'nothingHooks',
    'ConfigMap demo-gateway',
    'metadata.annotations',
    { 'helm.sh/hook': 'pre-install' },
    'is a hook (helm.sh/hook)',
  ],
  ['edgesAreTheArchitectures', 'NetworkPolicy demo-engine', 'spec.ingress', [], 'gateway may not call engine at 7000'],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-gateway',
    'spec.egress.1.ports.0.port',
    7001,
    'gateway may not call engine at 7000',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-engine',
    'spec.egress.1.to',
    [{ podSelector: {} }],
    'engine may call gateway at 7000, which the architecture does not have',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-engine',
    'spec.ingress.0.from',
    undefined,
    'a pod of another namespace may call engine at 7000',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-encoder',
    'spec.ingress',
    [{ from: [{ podSelector: {} }] }],
    'another pod of the namespace may call encoder at 7000',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-encoder',
    'spec.ingress',
    [{ ports: [{ port: 'metrics' }] }],
    'a pod of another namespace may call encoder at 9090',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-encoder',
    'spec.egress',
    [{}],
    'encoder may call an address outside the cluster at 443',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-encoder',
    'spec.egress',
    [],
    'encoder may not call NATS at 4222, which the architecture needs',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-encoder',
    'spec.egress.0.ports.0.protocol',
    'TCP',
    'encoder may not call DNS at 53',
  ],
  [
    'edgesAreTheArchitectures',
    'NetworkPolicy demo-gateway',
    'spec.podSelector.matchLabels',
    strangers,
    'gateway may call an address outside the cluster at 443',
  ],
];

test.each(Object.entries(checks))('%s finds nothing in a sound release', (_, check) => {
  expect(check(soundRelease())).toEqual([]);
});

test.each(faults)('%s sees %s with another %s', (name, object, path, value, says) => {
  const release = soundRelease();
  const manifest = release.manifests.find((each) => named(each) === object);
  if (manifest === undefined) throw new Error(`the sound release has no ${object}`);
  put(manifest, path.split('.'), value);
  expect(checks[name](release).join('\n')).toContain(says);
});

test('each check has a fault that it sees', () => {
  expect(new Set(faults.map(([name]) => name))).toEqual(new Set(Object.keys(checks)));
});

/** Sets what lies at a path; undefined removes it. */
function put(manifest: Manifest, path: readonly string[], value: unknown): void {
  let node = manifest as unknown as Record<string, unknown>;
  for (const key of path.slice(0, -1)) node = node[key] as Record<string, unknown>;
  const last = path.at(-1) ?? '';
  if (value === undefined) delete node[last];
  else node[last] = value;
}
