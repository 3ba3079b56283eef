import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec';
import type { Manifest, Release } from './manifest.js';

/**
 * A release of three roles as the checks want it, which checks.test.ts breaks in one place after the other. It is written here
 * and not rendered, so that a check is proven whatever the charts do.
 */
export function soundRelease(): Release & { manifests: Manifest[] } {
  const manifests = [...encoder(), ...engine(), ...gateway()];
  return {
    name: 'demo',
    namespace: 'tessera',
    manifests,
    values: {
      secret: 'demo-credentials',
      claim: 'bundle',
      nats: 'nats://nats.messaging:4222',
      revision: '0123456789ab',
    },
  };
}

function selector(service: string, component: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': `tessera-${service}`,
    'app.kubernetes.io/instance': 'demo',
    'app.kubernetes.io/component': component,
    'app.kubernetes.io/part-of': 'tessera',
  };
}

function object(apiVersion: string, kind: string, service: string, component: string, rest: object): Manifest {
  const labels = {
    ...selector(service, component),
    'app.kubernetes.io/version': '0.1.0',
    'app.kubernetes.io/managed-by': 'Helm',
    'helm.sh/chart': `tessera-${service}-0.1.0`,
  };
  return { apiVersion, kind, metadata: { name: `demo-${component}`, namespace: 'tessera', labels }, ...rest };
}

type Variable = { name: string; value: string } | { name: string; valueFrom: { fieldRef: { fieldPath: string } } };

function template(service: string, component: string, variables: readonly Variable[]): IPodTemplateSpec {
  const labels = selector(service, component);
  const grpc = { grpc: { port: 7000 } };
  return {
    metadata: { labels },
    spec: {
      automountServiceAccountToken: false,
      serviceAccountName: `demo-${component}`,
      terminationGracePeriodSeconds: 620,
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: { ...labels } },
        },
      ],
      containers: [
        {
          name: service,
          image: `registry.example/tessera-${service}:0.1.0`,
          env: [
            { name: 'TESSERA_CONFIG', value: '/etc/tessera/config.yaml' },
            { name: 'TESSERA_MODEL_DIR', value: '/models' },
            { name: 'TESSERA_GRPC_HOST', value: '0.0.0.0' },
            { name: 'TESSERA_GRPC_PORT', value: '7000' },
            { name: 'TESSERA_METRICS_HOST', value: '0.0.0.0' },
            { name: 'TESSERA_METRICS_PORT', value: '9090' },
            { name: 'TESSERA_DRAIN_GRACE_MS', value: '600000' },
            { name: 'TESSERA_NATS_CREDENTIALS_FILE', value: '/etc/tessera/nats/user.creds' },
            { name: 'TESSERA_NATS_URL', value: 'nats://nats.messaging:4222' },
            ...variables,
          ],
          ports: [
            { name: 'grpc', containerPort: 7000 },
            { name: 'metrics', containerPort: 9090 },
          ],
          lifecycle: { preStop: { sleep: { seconds: 5 } } },
          startupProbe: { ...grpc },
          readinessProbe: { ...grpc },
          livenessProbe: { httpGet: { path: '/healthz', port: 'metrics' } },
          resources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { memory: '1Gi' } },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [
            { name: 'config', mountPath: '/etc/tessera/config.yaml', subPath: 'config.yaml' },
            { name: 'model', mountPath: '/models' },
            { name: 'nats', mountPath: '/etc/tessera/nats' },
          ],
        },
      ],
      volumes: [
        { name: 'config', configMap: { name: `demo-${component}` } },
        { name: 'model', persistentVolumeClaim: { claimName: 'bundle' } },
        { name: 'nats', secret: { secretName: 'demo-credentials', items: [{ key: 'creds', path: 'user.creds' }] } },
      ],
    },
  };
}

/** What every role has: its account, its settings, its policy. */
function common(service: string, component: string, config: string, from: object[], to: string[]): Manifest[] {
  const peer = (role: string): object => ({
    podSelector: { matchLabels: { 'app.kubernetes.io/part-of': 'tessera', 'app.kubernetes.io/component': role } },
  });
  return [
    object('v1', 'ServiceAccount', service, component, {}),
    object('v1', 'ConfigMap', service, component, { data: { 'config.yaml': config } }),
    object('networking.k8s.io/v1', 'NetworkPolicy', service, component, {
      spec: {
        podSelector: { matchLabels: selector(service, component) },
        policyTypes: ['Ingress', 'Egress'],
        ingress: from,
        egress: [
          { ports: [{ port: 53, protocol: 'UDP' }, { port: 5353, protocol: 'UDP' }, { port: 4222 }] },
          ...to.map((role) => ({ ports: [{ port: 7000 }], to: [peer(role)] })),
        ],
      },
    }),
  ];
}

function workload(
  kind: string,
  service: string,
  component: string,
  more: object,
  variables: Variable[] = [],
): Manifest {
  const matchLabels = selector(service, component);
  return object('apps/v1', kind, service, component, {
    spec: { ...more, selector: { matchLabels }, template: template(service, component, variables) },
  });
}

function service(name: string, component: string, more: object = {}): Manifest {
  const ports = [{ name: 'grpc', port: 7000, targetPort: 'grpc' }];
  return object('v1', 'Service', name, component, { spec: { ...more, ports, selector: selector(name, component) } });
}

function budget(name: string, component: string): Manifest {
  return object('policy/v1', 'PodDisruptionBudget', name, component, {
    spec: { maxUnavailable: 1, selector: { matchLabels: selector(name, component) } },
  });
}

/** Scaled on its queue, down to nothing. */
function encoder(): Manifest[] {
  const metadata = { account: '$G', stream: 'tessera_v2_encode_0123456789ab', consumer: 'workers', lagThreshold: '8' };
  return [
    ...common('encoder', 'encoder', 'batch:\n  max: 4\n', [], []),
    workload('Deployment', 'encoder', 'encoder', {}),
    object('keda.sh/v1alpha1', 'ScaledObject', 'encoder', 'encoder', {
      spec: {
        scaleTargetRef: { name: 'demo-encoder' },
        minReplicaCount: 0,
        maxReplicaCount: 8,
        triggers: [{ type: 'nats-jetstream', metadata }],
      },
    }),
  ];
}

/** Reached pod by pod. */
function engine(): Manifest[] {
  const fromGateway = {
    ports: [{ port: 'grpc' }],
    from: [{ podSelector: { matchLabels: { 'app.kubernetes.io/component': 'gateway' } } }],
  };
  return [
    ...common('llm', 'engine', 'engine:\n  maxRunning: 8\n', [fromGateway], ['experts', 'layers']),
    workload('StatefulSet', 'llm', 'engine', { replicas: 2, serviceName: 'demo-engine' }, [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'TESSERA_ENGINE_ADVERTISE', value: '$(POD_NAME).demo-engine:7000' },
    ]),
    service('llm', 'engine', { clusterIP: 'None' }),
    budget('llm', 'engine'),
  ];
}

/** What everybody may call. */
function gateway(): Manifest[] {
  const matchLabels = selector('gateway', 'gateway');
  const target = { type: 'Utilization', averageUtilization: 70 };
  return [
    ...common('gateway', 'gateway', '', [{ ports: [{ port: 'grpc' }] }], ['engine']),
    workload('Deployment', 'gateway', 'gateway', {}),
    service('gateway', 'gateway'),
    budget('gateway', 'gateway'),
    object('autoscaling/v2', 'HorizontalPodAutoscaler', 'gateway', 'gateway', {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'demo-gateway' },
        minReplicas: 2,
        maxReplicas: 10,
        metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }],
      },
    }),
    object('monitoring.coreos.com/v1', 'PodMonitor', 'gateway', 'gateway', {
      spec: { podMetricsEndpoints: [{ port: 'metrics' }], selector: { matchLabels } },
    }),
  ];
}
