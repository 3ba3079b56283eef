import { natsUsers, passwordOf } from '@tessera/nats-server';
import { busUsers, Subjects } from '@tessera/protocol';
import type { Namespace } from './namespace.js';

const labels = { app: 'nats' };

/**
 * NATS in the cluster, as Service `nats`: each service, and the streams' Job, has a user of its own there, allowed what
 * docs/permissions.md says of these revisions and nothing else, whose password is in the Secret `nats-USER`.
 */
export async function installNats(namespace: Namespace, revisions: readonly string[]): Promise<void> {
  const configuration = [
    'http_port: 8222',
    'max_payload: 1048576',
    'jetstream { store_dir: /data, max_memory_store: 2147483648 }',
    natsUsers(...revisions.map((revision) => new Subjects('tessera', revision))),
  ];
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'List',
    items: [
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'nats' },
        data: { 'nats.conf': configuration.join('\n') },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'nats' },
        spec: {
          selector: labels,
          ports: [
            { name: 'client', port: 4222 },
            { name: 'monitor', port: 8222 },
          ],
        },
      },
      deployment,
      ...busUsers.map((user) => ({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: `nats-${user}` },
        stringData: { password: passwordOf(user) },
      })),
    ],
  });
  await namespace.kubectl(['rollout', 'status', 'deployment/nats', '--timeout=600s']);
}

/** How a service, or the streams' Job, comes to be that user. */
export function natsUser(user: (typeof busUsers)[number]): object {
  return { user, existingSecret: `nats-${user}`, secretKeys: { password: 'password' } };
}

/** It keeps its streams in memory: wherever else it is moved, it is not moved by a test's drain. */
const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'nats' },
  spec: {
    replicas: 1,
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        automountServiceAccountToken: false,
        nodeSelector: { 'kubernetes.io/hostname': 'real-0' },
        containers: [
          {
            name: 'nats',
            image: 'localhost/nats:1',
            args: ['--config', '/etc/nats/nats.conf'],
            ports: [{ containerPort: 4222 }, { containerPort: 8222 }],
            readinessProbe: { httpGet: { path: '/healthz', port: 8222 }, periodSeconds: 2, timeoutSeconds: 5 },
            volumeMounts: [
              { name: 'config', mountPath: '/etc/nats' },
              { name: 'data', mountPath: '/data' },
            ],
          },
        ],
        volumes: [
          { name: 'config', configMap: { name: 'nats' } },
          { name: 'data', emptyDir: {} },
        ],
      },
    },
  },
};
