import { kvCacheTypes, weightKinds } from '@tessera/bundle';
import { choice, closed, count, countOrShare, flag, labels, list, map, orNull, text, texts } from './schema-words.mjs';

const keyNames = {
  caKey: text('Key of the CA in the Secret; ca.crt by default.'),
  certKey: text('Key of the certificate in the Secret; tls.crt by default.'),
  keyKey: text("Key of the certificate's private key in the Secret; tls.key by default."),
};

const image = closed('The image.', {
  registry: text('Registry and path before the repository.'),
  repository: text('Repository; by default that of the service.'),
  tag: text('Tag; by default the appVersion of the chart. Put quotes around a number.'),
  digest: text('Digest, sha256: and 64 hex digits.', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
  pullPolicy: choice('When the image is pulled.', '', 'Always', 'IfNotPresent', 'Never'),
});

const claim = closed('A PersistentVolumeClaim.', {
  claimName: text('Its name.'),
  subPath: text('Folder in it.'),
});
const imageVolume = closed('An OCI image, as a volume.', {
  reference: text('The image, as a container would name it.'),
  pullPolicy: choice('When the image is pulled.', '', 'Always', 'IfNotPresent', 'Never'),
  subPath: text('Folder in it.'),
});

const model = closed('The model that is served.', {
  revision: text('Twelve hex digits, in quotes.'),
  sizeBytes: { type: 'number', minimum: 0, description: "Bytes of this stage's files of the bundle." },
  loadBytesPerSecond: { type: 'number', minimum: 1, description: 'Bytes that the slowest node reads a second.' },
  copy: closed("Copying the stage's files to the node's disk first.", {
    enabled: flag('Whether it is done.'),
    image,
    sizeLimit: text('Of the volume that they are copied to.'),
    resources: map('Of the init container.'),
  }),
  source: closed('Where the bundle comes from: one of pvc, image, compile and pull.', {
    pvc: orNull(claim),
    image: orNull(imageVolume),
    compile: orNull(
      closed('A checkpoint that each pod compiles.', {
        checkpoint: closed('Where the checkpoint is: one of pvc and image.', {
          pvc: orNull(claim),
          image: orNull(imageVolume),
        }),
        weights: choice('How the weights are stored; int8 by default.', 'auto', ...weightKinds),
        cut: text('experts, or layers=N.', { pattern: '^(experts|layers=[0-9]+)?$' }),
        kvCache: choice('How keys and values are held; float32 by default.', ...kvCacheTypes),
        image,
        sizeLimit: text('Of the volume that the bundle is made in.'),
        resources: map('Of the init container.'),
      }),
    ),
    pull: orNull(
      closed('A model of the hub that each pod fetches and compiles.', {
        id: text('ORG/NAME.'),
        revision: text('The commit, 40 hex digits in quotes.'),
        file: text('Of GGUF files the one that is meant, by name or type.'),
        endpoint: text('URL of the hub; by default https://huggingface.co.'),
        token: closed('Who asks, for gated and private models.', {
          existingSecret: text('Secret of the namespace with the token.'),
          key: text('Its key; token by default.'),
        }),
        weights: choice('How the weights are stored; int8 by default, of a file auto.', 'auto', ...weightKinds),
        cut: text('experts, or layers=N.', { pattern: '^(experts|layers=[0-9]+)?$' }),
        kvCache: choice('How keys and values are held; float32 by default.', ...kvCacheTypes),
        image,
        sizeLimit: text('Of the volume that checkpoint and bundle lie in.'),
        resources: map('Of the init container.'),
        extraEnv: list('More variables of the init container.'),
        extraVolumeMounts: list('Where it mounts volumes of extraVolumes.'),
      }),
    ),
  }),
});

const nats = closed('Where NATS is, and who the service is there.', {
  url: text('nats://HOST:PORT, several with commas.'),
  user: text('User, where there is a password.'),
  existingSecret: text('Secret of the namespace that says who the service is.'),
  secretKeys: closed('Which key of the Secret is what; one of them.', {
    password: text("Key of the user's password."),
    token: text('Key of the token.'),
    nkey: text("Key of the nkey's seed."),
    credentials: text('Key of the file of credentials.'),
  }),
  tls: closed('TLS to NATS.', {
    require: flag('Refuse a server without TLS.'),
    existingSecret: text("Secret with the server's CA."),
    mutual: flag("Show the Secret's certificate to the server."),
    ...keyNames,
    serverName: text("Name in the server's certificate."),
  }),
});

export const tls = closed('TLS of the gRPC port.', {
  existingSecret: text('Secret with the certificate and its key.'),
  mutual: flag("Ask callers for a certificate of the Secret's CA."),
  ...keyNames,
});

const probe = (description, more = {}) =>
  closed(description, {
    periodSeconds: count('Seconds between two questions.', 1),
    timeoutSeconds: count('Seconds that an answer may take.', 1),
    failureThreshold: count('Failures in a row that count.', 1),
    ...more,
  });

export const dnsPorts = {
  type: 'array',
  description: "Ports of DNS's pods.",
  minItems: 1,
  items: count('A port.', 1, { maximum: 65535 }),
};

/** What is added to pods, to those of shards too. */
export const podExtras = {
  podLabels: labels('More labels of the pods.'),
  podAnnotations: labels('More annotations of the pods.'),
  extraEnv: list('More variables of the process.'),
  extraEnvFrom: list('ConfigMaps and Secrets of variables.'),
  extraVolumes: list('More volumes of the pod.'),
  extraVolumeMounts: list('Where they are mounted.'),
  extraInitContainers: list('More init containers.'),
  extraContainers: list('More containers.'),
};

/** What deploy/charts/blocks/shared.yaml has. */
export const sharedProperties = {
  replicas: count('Replicas while nothing scales them.'),
  image,
  imagePullSecrets: list('Secrets that images are pulled with.'),
  nameOverride: text('Takes the place of the stage in names.'),
  fullnameOverride: text('The name of all objects.'),
  commonLabels: labels('On every object.'),
  commonAnnotations: labels('On every object.'),
  model,
  nats,
  tls,
  checkSecrets: flag('Whether helm looks for the Secrets that are named.'),
  checkMemory: flag('Whether the limit of memory is held against the settings.'),
  listenHost: text('Address that is listened on.', { minLength: 1 }),
  service: closed('The Service.', {
    type: choice('Its type.', 'ClusterIP', 'NodePort', 'LoadBalancer'),
    annotations: labels('Its annotations.'),
    appProtocol: text('What the port speaks.'),
    nodePort: orNull(count('Port of the nodes.', 1, { maximum: 65535 })),
    trafficDistribution: text('PreferClose, or none.'),
    loadBalancerSourceRanges: texts('Networks that a load balancer lets in.'),
  }),
  probes: closed('How the kubelet asks.', {
    startup: probe('Until the service has started.', {
      extraSeconds: count('Seconds beside NATS and the model.'),
      failureThreshold: orNull(count('Passes over what is computed.', 1)),
    }),
    readiness: probe('Whether it takes work.'),
    liveness: probe('Whether the process answers.'),
  }),
  preStopSeconds: count('Seconds that a pod serves on before it drains.', 0, { maximum: 600 }),
  revisionHistoryLimit: count('Old ReplicaSets that are kept.'),
  podDisruptionBudget: closed('What evictions may take.', {
    enabled: flag('Whether there is one.'),
    maxUnavailable: countOrShare('Pods that may be missing: a number, or a share such as 25%.'),
    minAvailable: countOrShare('Pods that must stay: a number, or a share such as 50%.'),
  }),
  topologySpreadConstraints: list('How pods spread over zones and nodes.'),
  networkPolicy: closed('Who may talk to the pods, and to whom they may.', {
    enabled: flag('Whether there is one.'),
    clients: list('Peers that may call the gRPC port.'),
    anyClient: flag('Whether anyone may, where clients is empty.'),
    namespaceSelector: map('Namespaces of the other stages.'),
    nats: list('Peers that are NATS.'),
    dns: list('Peers that are DNS.'),
    dnsPorts,
    hub: list('Peers that are the hub, and hosts that it keeps files on.'),
    scrapers: list('Peers that may read /metrics.'),
    extraIngress: list('More rules.'),
    extraEgress: list('More rules.'),
  }),
  podMonitor: closed("A PodMonitor of Prometheus' operator.", {
    enabled: flag('Whether there is one.'),
    labels: labels('What Prometheus selects it by.'),
    interval: text('Such as 15s.', { pattern: '^[0-9]+(ms|s|m|h)$' }),
    scrapeTimeout: text('Such as 10s; at most the interval.', { pattern: '^[0-9]+(ms|s|m|h)$' }),
    relabelings: list('Of targets.'),
    metricRelabelings: list('Of metrics.'),
  }),
  serviceAccount: closed("The pods' ServiceAccount, whose token they never get.", {
    create: flag('Whether the chart makes it.'),
    name: text('Its name.'),
    annotations: labels('Its annotations.'),
  }),
  podSecurityContext: map('Of the pod.'),
  securityContext: map('Of each container.'),
  tmpSizeLimit: text('Of /tmp.', { minLength: 1 }),
  priorityClassName: text('Of the pods.'),
  runtimeClassName: text('Of the pods.'),
  nodeSelector: labels('Labels of the nodes.'),
  tolerations: list('Taints of nodes that do not matter.'),
  affinity: map('Of the pods.'),
  ...podExtras,
};

/** What deploy/charts/blocks/rollout.yaml has, of a Deployment. */
export const rollout = {
  updateStrategy: map('Of the Deployment.'),
  rolloutMarginSeconds: count('Seconds beyond a start that a rollout may stand still.', 1),
};

/** What deploy/charts/blocks/gpu.yaml has. */
export const gpu = closed('GPUs of each pod.', {
  type: choice('none, device or claim.', 'none', 'device', 'claim'),
  count: count('GPUs of a pod.', 1),
  resource: text('The extended resource, of type device.', { minLength: 1 }),
  claim: closed('Of type claim.', {
    existingTemplate: text('A ResourceClaimTemplate that is there.'),
    deviceClassName: text('The DeviceClass.', { minLength: 1 }),
    selectors: texts('Expressions in CEL that a device must fulfil.'),
  }),
  nodeSelector: labels('Labels of the nodes that have them.'),
  tolerations: list('Taints of those nodes.'),
});

const behavior = closed('Of the HorizontalPodAutoscaler, which KEDA makes one of too.', {
  scaleUp: map('How replicas are added.'),
  scaleDown: map('How replicas are taken away.'),
});

const kedaTimes = {
  pollingInterval: count('Seconds between two looks.', 1),
  cooldownPeriod: count('Seconds without work until the last replica goes.'),
  fallback: closed('While a trigger does not answer.', {
    failureThreshold: count('Failures in a row.', 1),
    replicas: count('Replicas then; 0 for no fallback.'),
    behavior: choice(
      'static, or no fewer than there are.',
      'static',
      'currentReplicas',
      'currentReplicasIfHigher',
      'currentReplicasIfLower',
    ),
  }),
  triggers: list('More triggers.'),
};

/** The switch and the bounds, with the part's own words for keda and hpa. */
export const autoscaling = ({ keda, hpa }) =>
  closed('What counts the replicas.', {
    type: choice('none, hpa or keda.', 'none', 'hpa', 'keda'),
    minReplicas: orNull(count('The fewest.')),
    maxReplicas: count('The most.', 1),
    annotations: labels('Of the autoscaler, such as autoscaling.keda.sh/paused.'),
    keda: closed('With keda.', { ...keda, ...kedaTimes }),
    hpa: closed('With hpa.', {
      cpuPercent: orNull(count('Percent of the requested CPU.', 1)),
      ...hpa,
      metrics: list('More metrics.'),
    }),
    behavior,
  });

/** What deploy/charts/blocks/queue-scaling.yaml has. */
export const queueScaling = autoscaling({
  keda: {
    lagThreshold: orNull(count('Jobs a replica; by default twice jobs.slots.', 1)),
    activationLagThreshold: count('Jobs beyond which the first replica is made.'),
    natsMonitoring: closed("NATS's monitoring.", {
      endpoint: text('HOST:PORT.'),
      account: text('The account of the streams.'),
      https: flag('Whether it is asked by https.'),
      existingSecret: text('Secret that holds endpoint and account.'),
      endpointKey: text('Key of the endpoint; endpoint by default.'),
      accountKey: text('Key of the account; account by default.'),
    }),
  },
  hpa: { queueDepth: orNull(count('Jobs in the queue a replica.', 1)) },
});
