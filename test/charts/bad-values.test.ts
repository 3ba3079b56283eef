import { expect, test } from 'vitest';
import { helm } from './support/cases.js';

/** A chart, what is set beside its minimal values (as `--set-json` takes it), and what helm must say. */
type Row = readonly [chart: string, set: string, says: string];

const keda = '"type": "keda", "keda": {"natsMonitoring": {"endpoint": "nats:8222"}}';

const rows: readonly Row[] = [
  // What the schema says, by the key.
  ['encoder', 'replica=2', "additional properties 'replica' not allowed"],
  ['encoder', 'replicas="two"', "at '/replicas': got string, want integer"],
  ['encoder', 'replicas=-1', "at '/replicas'"],
  ['encoder', 'config.batch.maximum=4', "at '/config/batch': additional properties 'maximum' not allowed"],
  ['encoder', 'config.batch.max="many"', "at '/config/batch/max'"],
  ['encoder', 'config.engine.maxRunning=4', "additional properties 'engine' not allowed"],
  ['connector', 'config.nats.shards=300', "at '/config/nats/shards': maximum: got 300, want 256"],
  ['generator', 'config.log.level="loud"', "at '/config/log/level'"],
  ['gateway', 'gpu.type="device"', "additional properties 'gpu' not allowed"],
  ['encoder', 'autoscaling.type="both"', "at '/autoscaling/type'"],
  ['encoder', 'autoscaling.keda.lagThreshold="8 jobs"', "at '/autoscaling/keda/lagThreshold'"],
  ['encoder', 'image.digest="0123"', "at '/image/digest'"],
  ['encoder', 'model.source.bucket={"name": "models"}', "additional properties 'bucket' not allowed"],
  // What a schema cannot say, by the chart's own sentence.
  ['encoder', 'nats.url=""', 'encoder: nats.url is missing'],
  ['gateway', 'nats.url="http://nats"', 'nats.url has "http://nats", which is no address of NATS'],
  ['encoder', 'nats.url="nats://me:secret@nats:4222"', 'nats.url has a user or password in it'],
  ['encoder', 'nats.user="encoder"', 'nats.user is set, and no password'],
  [
    'encoder',
    'nats.existingSecret="credentials"',
    'nats.existingSecret is credentials, and nats.secretKeys says of none',
  ],
  [
    'encoder',
    'nats.secretKeys={"token": "token"}',
    'nats.secretKeys names keys of a Secret, and nats.existingSecret no Secret',
  ],
  ['encoder', 'nats.existingSecret="a",nats.secretKeys={"token": "t", "nkey": "n"}', 'nats.secretKeys has 2 keys'],
  ['encoder', 'nats.tls.mutual=true', 'nats.tls.mutual is set, and nats.tls.existingSecret names no Secret'],
  ['gateway', 'tls.mutual=true', 'tls.mutual is set, and tls.existingSecret names no Secret'],
  ['gateway', 'engines.tls.mutual=true', 'engines.tls.mutual is set, and engines.tls.existingSecret names no Secret'],
  [
    'encoder',
    'model.source={"pvc": null}',
    'model.source needs one of pvc, image, compile and pull, and has none of them',
  ],
  [
    'encoder',
    'model.source.image={"reference": "models:1"}',
    'model.source needs one of pvc, image, compile and pull, and has image and pvc',
  ],
  [
    'encoder',
    'model.source={"pvc": null, "compile": {"weights": "int8"}}',
    'model.source.compile.checkpoint needs a claim',
  ],
  [
    'encoder',
    'model.source={"pvc": null, "pull": {"revision": "main"}}',
    'model.source.pull.id is ""; it is a model\'s id on the hub',
  ],
  [
    'encoder',
    'model.source={"pvc": null, "pull": {"id": "acme/small:Q8_0"}}',
    'model.source.pull.id is "acme/small:Q8_0"; it is a model\'s id on the hub',
  ],
  [
    'encoder',
    'model.source={"pvc": null, "pull": {"id": "acme/small", "revision": "main"}}',
    'model.source.pull.revision is "main"; give the commit, 40 hex digits in quotes',
  ],
  [
    'encoder',
    `model.source={"pvc": null, "pull": {"id": "acme/small", "revision": "${'a'.repeat(40)}", "token": {"key": "k"}}}`,
    'model.source.pull.token.key names a key of a Secret',
  ],
  [
    'encoder',
    `model.source={"pvc": null, "pull": {"id": "a/b", "revision": "${'a'.repeat(40)}", "extraEnv": [{"name": "HF_HOME"}]}}`,
    'model.source.pull.extraEnv has HF_HOME, which the chart sets',
  ],
  [
    'encoder',
    `model.copy.enabled=true,model.source={"pvc": null, "pull": {"id": "acme/small", "revision": "${'a'.repeat(40)}"}}`,
    'model.copy.enabled is set, and model.source.pull makes the bundle',
  ],
  ['encoder', 'model.revision="main"', 'model.revision is "main", and a revision is twelve hex digits'],
  ['encoder', `autoscaling={${keda}}`, 'model.revision is missing: KEDA reads the lag of the revision'],
  [
    'encoder',
    'autoscaling.type="keda",model.revision="0123456789ab"',
    'autoscaling.keda.natsMonitoring.endpoint is missing',
  ],
  ['encoder', 'autoscaling={"type": "hpa", "minReplicas": 0}', 'a HorizontalPodAutoscaler wakes nothing from zero'],
  [
    'encoder',
    'autoscaling={"type": "hpa", "minReplicas": 5, "maxReplicas": 3}',
    'autoscaling.maxReplicas is 3, less than autoscaling.minReplicas (5)',
  ],
  [
    'gateway',
    'autoscaling={"type": "keda", "minReplicas": 0, "keda": {"streams": null}}',
    'autoscaling.minReplicas is 0, and nothing queues for this stage',
  ],
  ['gateway', 'autoscaling.type="keda"', 'autoscaling.keda.prometheus.serverAddress is missing'],
  [
    'encoder',
    'podDisruptionBudget={"maxUnavailable": null, "minAvailable": 1}',
    'podDisruptionBudget.minAvailable is 1, which forbids every eviction at the fewest replicas (1)',
  ],
  [
    'encoder',
    'podDisruptionBudget.maxUnavailable=0',
    'podDisruptionBudget.maxUnavailable is 0, which forbids every eviction',
  ],
  ['encoder', 'podDisruptionBudget.minAvailable=1', 'podDisruptionBudget has both minAvailable and maxUnavailable'],
  [
    'encoder',
    'podDisruptionBudget.maxUnavailable="all"',
    'podDisruptionBudget.maxUnavailable is "all"; it is a number',
  ],
  [
    'encoder',
    'replicas=2,podDisruptionBudget={"maxUnavailable": null, "minAvailable": "60%"}',
    'podDisruptionBudget.minAvailable is 60%, which forbids every eviction at the fewest replicas (2)',
  ],
  [
    'encoder',
    'resources.limits.memory="1Gi"',
    'resources.limits.memory is 1Gi, and the settings let the process take 1758 MB',
  ],
  ['gateway', 'config.media.maxHeldBytes=2000000000', 'the settings let the process take 2300 MB'],
  ['encoder', 'config.device="cuda"', 'config.device is cuda, and gpu.type gives no pod a GPU'],
  [
    'encoder',
    'config.device="cpu",gpu.type="device"',
    'config.device is cpu, and gpu.type device gives each pod a GPU',
  ],
  [
    'encoder',
    'config.grpc.maxDeadlineMs=1000',
    'config.grpc.defaultDeadlineMs is 120000 and config.grpc.maxDeadlineMs 1000',
  ],
  [
    'encoder',
    'extraEnv=[{"name": "TESSERA_NATS_URL", "value": "nats://other"}]',
    'extraEnv has TESSERA_NATS_URL, which the chart sets',
  ],
  // Of the llm; placement.test.ts has what concerns a placement.
  [
    'llm',
    'experts.groups=[{"name": "warm", "replica": 2}]',
    "at '/experts/groups/0': additional properties 'replica' not allowed",
  ],
  ['llm', 'layers.workload="Deployment"', "at '/layers/workload'"],
  [
    'llm',
    'layers.pieces=2,layers.workload="LeaderWorkerSet",layers.perPiece=[{}]',
    'layers.perPiece is set, and the shards of a LeaderWorkerSet are all alike',
  ],
  ['llm', 'autoscaling.type="keda"', 'autoscaling.keda.prometheus.serverAddress is missing'],
  ['llm', 'autoscaling={"type": "hpa", "minReplicas": 0}', 'autoscaling.minReplicas is 0'],
  ['llm', 'config.role="engine"', 'config.role would be passed over, since the chart sets it'],
  // Of the umbrella, over deploy/examples/tessera-laptop.yaml.
  ['tessera', 'encoders.enabled=true', "additional properties 'encoders' not allowed"],
  ['tessera', 'encoder.replica=2', "additional properties 'replica' not allowed"],
  ['tessera', 'global.config.nats.shard=2', "at '/global/config/nats': additional properties 'shard' not allowed"],
  ['tessera', 'global.nats.address="nats://nats"', "additional properties 'address' not allowed"],
  ['tessera', 'streams.revisions=0', "at '/streams/revisions'"],
  ['tessera', 'streams.checkSecrets="no"', "at '/streams/checkSecrets'"],
  ['tessera', 'streams.networkPolicy.dnsPorts=[]', "at '/streams/networkPolicy/dnsPorts'"],
  ['encoder', 'networkPolicy.dnsPorts=["dns"]', "at '/networkPolicy/dnsPorts/0'"],
  [
    'tessera',
    'global.nats.maxMemory="1Gi"',
    'NATS is too small for the streams: global.nats.maxMemory lets it hold 1073741824 bytes',
  ],
  [
    'tessera',
    'encoder.config.nats.encodeBytes=1000000',
    'encoder.config.nats.encodeBytes is set, and all services must say the same of it',
  ],
  [
    'tessera',
    'gateway.config.grpc.maxDeadlineMs=1200000',
    'gateway.config.grpc.maxDeadlineMs is set, and all services must say the same',
  ],
  ['tessera', 'nats.enabled=true', 'nats.enabled is true, and the chart of NATS is not in this copy of the chart'],
  ['tessera', 'encoder.autoscaling.type="keda"', 'encoder: model.revision is missing'],
  [
    'tessera',
    'global.model.source={"pvc": null}',
    'model.source needs one of pvc, image, compile and pull, and has none of them',
  ],
];

test.each(rows)('%s refuses %s', async (chart, set, says) => {
  const minimal =
    chart === 'tessera' ? 'deploy/examples/tessera-laptop.yaml' : `test/charts/cases/${chart}-minimal.yaml`;
  const { status, stderr } = await helm(
    'template',
    'tessera',
    `deploy/charts/${chart}`,
    '--values',
    minimal,
    '--set-json',
    set,
  );
  expect(stderr).toContain(says);
  expect(status).toBe(1);
});
