import { expect, test } from 'vitest';
import { isReady, kubectl, objects } from './support/kubernetes.js';
import { Namespace } from './support/namespace.js';
import { useNodes } from './support/nodes.js';

/** What all other tests stand on: pods run on each real node, find each other by name, and leave nothing. */
test('a Service is found by its name, on every real node', async () => {
  await useNodes('real');
  const nodes = (await objects('nodes', '--selector=type=real')).filter(isReady).map(({ metadata }) => metadata.name);
  expect(nodes.length).toBeGreaterThan(1);
  const namespace = await Namespace.create('nodes');
  const pod = { metadata: { labels: { app: 'nats' } } };
  const container = { name: 'nats', image: 'localhost/nats:1', args: ['--http_port', '8222'] };
  const tolerations = [{ operator: 'Exists' }];
  await namespace.apply({
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'nats' },
    spec: {
      selector: { matchLabels: pod.metadata.labels },
      template: {
        ...pod,
        spec: {
          nodeSelector: { type: 'real' },
          tolerations,
          containers: [container],
          terminationGracePeriodSeconds: 1,
        },
      },
    },
  });
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'nats' },
    spec: { clusterIP: 'None', selector: pod.metadata.labels, ports: [{ port: 8222 }] },
  });
  await namespace.kubectl(['rollout', 'status', 'daemonset/nats', '--timeout=300s']);
  const pods = await namespace.pods();
  expect(pods.map(({ spec }) => spec?.nodeName).sort()).toEqual([...nodes].sort());
  const { status } = await fetch('http://nats.nodes.svc.cluster.local:8222/healthz');
  expect(status).toBe(200);
  await namespace[Symbol.asyncDispose]();
  expect(await kubectl(['get', 'namespace', 'nodes', '--ignore-not-found'])).toBe('');
});
