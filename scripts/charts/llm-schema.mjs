import { choice, closed, count, flag, labels, list, map, orNull, text } from './schema-words.mjs';
import { autoscaling, gpu, podExtras, sharedProperties } from './shared-schema.mjs';

const share = (description) => ({ type: ['number', 'null'], exclusiveMinimum: 0, maximum: 1, description });

const prometheus = closed('Where the metrics are.', {
  serverAddress: text('http://HOST:PORT.'),
  authenticationRef: map('A TriggerAuthentication.'),
  authModes: text('bearer, basic, tls or custom.'),
});

const engineScaling = autoscaling({
  keda: {
    waiting: orNull(count('Waiting requests a replica.', 1)),
    kvUsage: share('Share of the KV cache a replica.'),
    prometheus,
  },
  hpa: {
    waiting: orNull(count('Waiting requests a replica.', 1)),
    kvUsage: share('Share of the KV cache a replica.'),
  },
});

/** Of a group's shards; what is left out is as the engines have it. */
const expertScaling = autoscaling({
  keda: {
    rowsPerSecond: orNull(count('Rows a second that a shard is to compute.', 1)),
    window: text('Time that rows are counted over.', { pattern: '^[0-9]+(s|m)$' }),
    prometheus,
  },
  hpa: { rowsPerSecond: orNull(count('Rows a second that a shard is to compute.', 1)) },
});

/** What shards have for themselves, beside the values that all pods of the chart share. */
const shardProperties = {
  replicas: count('Shards that hold the same.', 1),
  // Those of the engines, over which they go.
  config: { $ref: '#/properties/config' },
  resources: map('Of the container.'),
  gpu,
  model: sharedProperties.model,
  nodeSelector: labels('Labels of the nodes.'),
  tolerations: list('Taints of nodes that do not matter.'),
  affinity: map('Of the pods.'),
  priorityClassName: text('Of the pods.'),
  podDisruptionBudget: sharedProperties.podDisruptionBudget,
  updateStrategy: map('Of the StatefulSet.'),
  ...podExtras,
};

const expertProperties = {
  ...shardProperties,
  autoscaling: expertScaling,
  antiAffinity: choice('Which shards share no node: all, those of a group, or none.', 'all', 'group', 'none'),
};

const tlsName = closed('TLS to the shards, by tls.existingSecret.', {
  serverName: text('Name in their certificates.'),
});

/** Values of the llm's chart. */
export const llmProperties = {
  ...sharedProperties,
  updateStrategy: map('Of the StatefulSets.'),
  gpu,
  autoscaling: engineScaling,
  shardsWaitSeconds: count('Seconds that shards may take to have nodes and images.'),
  advertise: choice('How pods are called.', 'podName', 'podIP'),
  experts: closed("Shards that hold a mixture's experts.", {
    ...expertProperties,
    placement: closed('Which group holds what.', {
      configMap: text('A ConfigMap that is there.'),
      content: text("The placement's text."),
    }),
    groups: {
      type: 'array',
      description: 'Groups of the placement.',
      items: closed(
        'A group.',
        {
          ...expertProperties,
          name: text('As in the placement.', { pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' }),
        },
        { required: ['name'] },
      ),
    },
    nodes: orNull(count('Nodes that shards can run on.', 1)),
    checkCluster: flag('Whether helm looks for the placement and the nodes.'),
    oneBudget: flag('Whether evictions take one shard of all groups at a time.'),
    tls: tlsName,
  }),
  layers: closed('Shards that hold pieces of the layers.', {
    ...shardProperties,
    pieces: count('Pieces that the bundle is cut in; 1 for a whole one.', 1, { maximum: 64 }),
    workload: choice('What runs the shards.', 'StatefulSet', 'LeaderWorkerSet'),
    leaderWorkerSet: closed('Of the LeaderWorkerSet.', {
      maxSurge: count('Groups that an update starts first.'),
      maxUnavailable: count('Groups that an update ends first.'),
      exclusiveTopology: text('Label of nodes that a group has for itself.'),
    }),
    perPiece: {
      type: 'array',
      description: 'Values of piece 1, piece 2 and so on.',
      items: closed('Of a piece.', shardProperties),
    },
    tls: tlsName,
  }),
};
