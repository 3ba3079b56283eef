// What an operator is woken or told for. Each alert has its runbook, and series under which it fires and stays silent:
// deploy/monitoring's rules, their promtool tests and docs/monitoring.md are made from these.
import { errorTable } from '@tessera/protocol';

/** Whose fault is not the caller's: the codes that HTTP would call 5xx, but for what a model cannot do. */
const faults = Object.entries(errorTable)
  .filter(([, { http }]) => http >= 500 && http !== 501)
  .map(([code]) => code);

/** A process, by its pod where there are pods. */
const process = '{{ or $labels.pod $labels.instance }}';
const inNamespace = '{{ $labels.namespace }}';
const perProcess = 'namespace, pod, instance';

/** A process's gauge, with the revision that it serves: two revisions side by side do not stand in for one another. */
const ofRevision = (metric) => `${metric} * on (${perProcess}) group_left (revision) tessera_model_info`;
const perRevision = '{{ $labels.revision }} in {{ $labels.namespace }}';

/** Labels of the series in tests. */
const pod = (name, host = '10.0.0.1') => `namespace="prod",pod="${name}",instance="${host}:9090"`;
const model = (name, revision = 'r1', host = '10.0.0.1') => ({
  [`tessera_model_info{${pod(name, host)},name="demo",revision="${revision}",weights="int8"}`]: '1x60',
});
const processLabels = (name) => ({ namespace: 'prod', pod: name, instance: '10.0.0.1:9090' });

/**
 * series: what is scraped every 30 s, in promtool's notation; at: when it is looked; labels: of the alert that fires then,
 * none where none does.
 */
export const alerts = [
  {
    name: 'TesseraNotReady',
    severity: 'warning',
    expr: `max by (${perProcess}) (tessera_ready) == 0`,
    for: '10m',
    summary: `${process} takes no work`,
    runbook:
      'Its `/readyz` names what it waits for (`curl http://POD:9090/readyz`): NATS, the streams, a model that loads, experts or layers that nobody holds. One that loads a large model for longer than ten minutes is well: raise the `for` of this rule above the startup probe of the chart. What ended before it was ready says why in its last log line (`event` is `failed`).',
    tests: [
      { series: { [`tessera_ready{${pod('encoder-0')}}`]: '0x40' }, at: '12m', labels: processLabels('encoder-0') },
      { series: { [`tessera_ready{${pod('encoder-0')}}`]: '0x10 1x30' }, at: '12m' },
    ],
  },
  {
    name: 'TesseraStageMissing',
    severity: 'critical',
    expr: `max by (namespace, revision, kind) (${ofRevision('tessera_queue_depth')}) > 0 and on (namespace, revision, kind) max by (namespace, revision, kind) (${ofRevision('tessera_queue_attended')}) == 0`,
    for: '5m',
    summary: `jobs wait in the ${'{{ $labels.kind }}'} queue of ${perRevision}, and nobody takes them`,
    runbook:
      'No process of that stage (encode: encoder; connect: connector; generate: generator) is connected to this NATS with this model revision. Where an autoscaler starts it from zero, look why it does not: `kubectl describe scaledobject`, whether the consumer that it reads is that of the revision (docs/kubernetes.md), whether pods are Pending. Else look at the pods, and compare `tessera_model_info` of stage and gateway: a stage of another revision works off another queue. Clients are told which stage they wait for, and end at their deadline.',
    tests: [
      {
        series: {
          [`tessera_queue_depth{${pod('gateway-0')},kind="encode"}`]: '3x30',
          [`tessera_queue_attended{${pod('gateway-0')},kind="encode"}`]: '0x30',
          [`tessera_queue_depth{${pod('gateway-0')},kind="connect"}`]: '0x30',
          [`tessera_queue_attended{${pod('gateway-0')},kind="connect"}`]: '0x30',
          ...model('gateway-0'),
          // The next revision has somebody, who is of no use to this one.
          [`tessera_queue_depth{${pod('next-0', '10.0.0.2')},kind="encode"}`]: '0x30',
          [`tessera_queue_attended{${pod('next-0', '10.0.0.2')},kind="encode"}`]: '1x30',
          ...model('next-0', 'r2', '10.0.0.2'),
        },
        at: '6m',
        labels: { namespace: 'prod', revision: 'r1', kind: 'encode' },
      },
      {
        series: {
          [`tessera_queue_depth{${pod('gateway-0')},kind="encode"}`]: '3x30',
          [`tessera_queue_attended{${pod('gateway-0')},kind="encode"}`]: '0x4 1x26',
          ...model('gateway-0'),
        },
        at: '6m',
      },
    ],
  },
  {
    name: 'TesseraQueueStanding',
    severity: 'warning',
    expr: `max by (namespace, revision, kind) (${ofRevision('tessera_queue_oldest_seconds')}) > 60 unless on (namespace, revision, kind) max by (namespace, revision, kind) (${ofRevision('tessera_queue_attended')}) == 0`,
    for: '2m',
    summary: `the oldest job of the ${'{{ $labels.kind }}'} queue of ${perRevision} is a minute old`,
    runbook:
      'The stage is there and does not keep up: half of the default deadline goes into the queue. Look at `tessera_busy_ratio` of the stage: near 1 it needs more replicas (raise the maximum of its autoscaler); low, jobs wait for something else, such as a full stream (`tessera_nats_full_seconds_total`), SVGs that are drawn a few at a time (`media.svgProcesses`), or a job that is stuck (`tessera_jobs_stalled_total`).',
    tests: [
      {
        series: {
          [`tessera_queue_oldest_seconds{${pod('gateway-0')},kind="encode"}`]: '0+10x40',
          [`tessera_queue_attended{${pod('gateway-0')},kind="encode"}`]: '1x40',
          ...model('gateway-0'),
        },
        at: '8m',
        labels: { namespace: 'prod', revision: 'r1', kind: 'encode' },
      },
      {
        series: {
          [`tessera_queue_oldest_seconds{${pod('gateway-0')},kind="encode"}`]: '0+10x40',
          [`tessera_queue_attended{${pod('gateway-0')},kind="encode"}`]: '0x40',
          ...model('gateway-0'),
        },
        at: '8m',
      },
    ],
  },
  {
    name: 'TesseraJobsLost',
    severity: 'critical',
    expr: 'sum by (namespace, kind) (increase(tessera_jobs_total{outcome="exhausted"}[15m])) > 3',
    for: '0m',
    summary: `jobs of the ${'{{ $labels.kind }}'} queue of ${inNamespace} were given up`,
    runbook:
      'They were begun `nats.maxDeliveries` times and never finished: workers die or get stuck over them. Look at the restarts of the stage (out of memory?) and at its log for `a job failed for the last time`, which names the error.',
    tests: [
      {
        series: { [`tessera_jobs_total{${pod('encoder-0')},kind="encode",outcome="exhausted"}`]: '0+1x40' },
        at: '10m',
        labels: { namespace: 'prod', kind: 'encode' },
      },
      { series: { [`tessera_jobs_total{${pod('encoder-0')},kind="encode",outcome="done"}`]: '0+9x40' }, at: '10m' },
    ],
  },
  {
    name: 'TesseraJobsStalled',
    severity: 'warning',
    expr: 'sum by (namespace, kind) (increase(tessera_jobs_stalled_total[15m])) > 0',
    for: '0m',
    summary: `a worker of the ${'{{ $labels.kind }}'} queue of ${inNamespace} was stuck`,
    runbook:
      'A handler gave no sign of progress for `nats.stallMs`, and its job went to another. Once: a computation that takes longer than that on this hardware; raise the setting. Again and again in one pod: a device that hangs; delete the pod.',
    tests: [
      {
        series: { [`tessera_jobs_stalled_total{${pod('encoder-0')},kind="encode"}`]: '0x10 1x30' },
        at: '10m',
        labels: { namespace: 'prod', kind: 'encode' },
      },
      { series: { [`tessera_jobs_stalled_total{${pod('encoder-0')},kind="encode"}`]: '1x40' }, at: '10m' },
    ],
  },
  {
    name: 'TesseraStreamNearlyFull',
    severity: 'warning',
    expr: 'max by (namespace, stream) (tessera_stream_bytes{stream!~".+_(cancelled|revisions)"} / (tessera_stream_max_bytes > 0)) > 0.8',
    for: '5m',
    summary: `the stream ${'{{ $labels.stream }}'} of ${inNamespace} is full to four fifths`,
    runbook:
      'A full stream holds up those who publish to it; nothing is lost. A queue or its parts: the stage is short, see TesseraQueueStanding. Tokens: an engine does not read its inbox; look for one that stands still. Uploads: clients keep more than there is room for. Where the load is as it should be, compute the sizes anew by docs/sizing.md.',
    tests: [
      {
        series: {
          [`tessera_stream_bytes{${pod('gateway-0')},stream="tessera_v2_encode_r1"}`]: '90x30',
          [`tessera_stream_max_bytes{${pod('gateway-0')},stream="tessera_v2_encode_r1"}`]: '100x30',
        },
        at: '10m',
        labels: { namespace: 'prod', stream: 'tessera_v2_encode_r1' },
      },
      {
        series: {
          [`tessera_stream_bytes{${pod('gateway-0')},stream="tessera_v2_cancelled"}`]: '100x30',
          [`tessera_stream_max_bytes{${pod('gateway-0')},stream="tessera_v2_cancelled"}`]: '100x30',
        },
        at: '10m',
      },
    ],
  },
  {
    name: 'TesseraPublishersHeldUp',
    severity: 'warning',
    expr: 'sum by (namespace, kind) (rate(tessera_nats_full_seconds_total[5m])) > 0.5',
    for: '5m',
    summary: `senders of ${'{{ $labels.kind }}'} in ${inNamespace} wait for room`,
    runbook: 'Half of the time somebody waits for a full stream. TesseraStreamNearlyFull says which, and what to do.',
    tests: [
      {
        series: { [`tessera_nats_full_seconds_total{${pod('encoder-0')},kind="connect"}`]: '0+20x40' },
        at: '12m',
        labels: { namespace: 'prod', kind: 'connect' },
      },
      { series: { [`tessera_nats_full_seconds_total{${pod('encoder-0')},kind="connect"}`]: '0+1x40' }, at: '12m' },
    ],
  },
  {
    name: 'TesseraNatsDisconnected',
    severity: 'critical',
    expr: `max by (${perProcess}) (tessera_nats_connected) == 0`,
    for: '1m',
    summary: `${process} is not connected to NATS`,
    runbook:
      'One process: its network, or its user (a secret that was renewed on one side only; its log says so). All: NATS itself; `kubectl get pods` of the NATS release. Processes connect again by themselves, make lost streams again, and make again what was on them; requests wait until their deadline.',
    tests: [
      { series: { [`tessera_nats_connected{${pod('llm-0')}}`]: '1x4 0x20' }, at: '5m', labels: processLabels('llm-0') },
      { series: { [`tessera_nats_connected{${pod('llm-0')}}`]: '1x4 0 1x20' }, at: '5m' },
    ],
  },
  {
    name: 'TesseraGatewayGone',
    severity: 'critical',
    // While it is not scraped it says nothing, which no other rule can tell from nothing to say.
    expr: 'count by (namespace) (present_over_time(tessera_build_info{service="gateway"}[1d])) unless on (namespace) count by (namespace) (tessera_build_info{service="gateway"})',
    for: '2m',
    summary: `no gateway in ${inNamespace} is scraped, where one was within a day`,
    runbook:
      'None runs, each ends before its metrics are served, or Prometheus cannot reach them (`up` of their job, the NetworkPolicy). Look at the pods, and at the last log line of one that ended (`kubectl logs --previous`): it says why in `reason`. Where the deployment was taken away on purpose, silence it for a day.',
    tests: [
      {
        series: { [`tessera_build_info{${pod('gateway-0')},service="gateway",version="0.1.0"}`]: '1x10 stale' },
        at: '15m',
        labels: { namespace: 'prod' },
      },
      {
        series: {
          [`tessera_build_info{${pod('gateway-0')},service="gateway",version="0.1.0"}`]: '1x10 stale',
          [`tessera_build_info{${pod('gateway-1', '10.0.0.2')},service="gateway",version="0.1.0"}`]: '1x40',
        },
        at: '15m',
      },
    ],
  },
  {
    name: 'TesseraNoEngine',
    severity: 'critical',
    expr: `max by (namespace, revision) (${ofRevision('tessera_gateway_engines')}) == 0`,
    for: '2m',
    summary: `no gateway of ${perRevision} hears of an engine`,
    runbook:
      'No request is answered. Look at the llm pods (`/readyz` of each names what it waits for). If they are well, they announce themselves where the gateways do not listen: another NATS, another `nats.prefix`, another revision of the model, or another version of the bus; the log of the gateways and the error of each request say which of these are heard.',
    tests: [
      {
        series: {
          [`tessera_gateway_engines{${pod('gateway-0')}}`]: '2x4 0x20',
          ...model('gateway-0'),
          [`tessera_gateway_engines{${pod('next-0', '10.0.0.2')}}`]: '1x20',
          ...model('next-0', 'r2', '10.0.0.2'),
        },
        at: '6m',
        labels: { namespace: 'prod', revision: 'r1' },
      },
      {
        series: {
          [`tessera_gateway_engines{${pod('gateway-0')}}`]: '0x20',
          [`tessera_gateway_engines{${pod('gateway-1')}}`]: '1x20',
          ...model('gateway-0'),
          ...model('gateway-1'),
        },
        at: '6m',
      },
    ],
  },
  {
    name: 'TesseraEnginesFull',
    severity: 'warning',
    expr: `min by (namespace, revision) (${ofRevision('tessera_requests_waiting')}) > 0`,
    for: '10m',
    summary: `every engine of ${perRevision} has requests that wait`,
    runbook:
      'Clients wait for a slot, and newcomers are refused once `engine.maxWaiting` is reached. More engines (raise the maximum of the autoscaler), or more sequences at once (`engine.maxRunning`, if `tessera_kv_cache_usage_ratio` leaves room).',
    tests: [
      {
        series: {
          [`tessera_requests_waiting{${pod('llm-0')}}`]: '2x40',
          [`tessera_requests_waiting{${pod('llm-1', '10.0.0.2')}}`]: '1x40',
          ...model('llm-0'),
          ...model('llm-1', 'r1', '10.0.0.2'),
          [`tessera_requests_waiting{${pod('next-0', '10.0.0.3')}}`]: '0x40',
          ...model('next-0', 'r2', '10.0.0.3'),
        },
        at: '12m',
        labels: { namespace: 'prod', revision: 'r1' },
      },
      {
        series: {
          [`tessera_requests_waiting{${pod('llm-0')}}`]: '2x40',
          [`tessera_requests_waiting{${pod('llm-1', '10.0.0.2')}}`]: '0x40',
          ...model('llm-0'),
          ...model('llm-1', 'r1', '10.0.0.2'),
        },
        at: '12m',
      },
    ],
  },
  {
    name: 'TesseraExpertsMissing',
    severity: 'critical',
    expr: 'max by (namespace) (tessera_experts_missing) > 0',
    for: '1m',
    summary: `experts of the placement are held by nobody in ${inNamespace}`,
    runbook:
      'Sequences that need them wait, and after `experts.missingMs` the engines take no more work. Look which group has no shard that is ready (`tessera_shard_info` says what each holds), at its pods, and whether the placement that the shards have is the one that the engines have (`event` is `placement` in their logs). Where nodes are gone for good, plan anew for those that are left: `tessera place plan`. A pod that stays Terminating is on a node that was lost, and is not replaced before the Node is deleted, or tainted node.kubernetes.io/out-of-service (docs/kubernetes.md, "A node is lost").',
    tests: [
      { series: { [`tessera_experts_missing{${pod('llm-0')}}`]: '0x4 8x20' }, at: '5m', labels: { namespace: 'prod' } },
      { series: { [`tessera_experts_missing{${pod('llm-0')}}`]: '0x4 8 0x20' }, at: '5m' },
    ],
  },
  {
    name: 'TesseraLayersMissing',
    severity: 'critical',
    expr: 'max by (namespace) (tessera_layer_pieces_missing) > 0',
    for: '1m',
    summary: `a piece of the layers is held by nobody in ${inNamespace}`,
    runbook:
      'Engines that need it take no step. Look at the pods of the layer shards; where they are well, whether there is room for one more engine (`layers.enginesPerShard`): the log of an engine that is refused says what to set. A pod that stays Terminating is on a node that was lost, and is not replaced before the Node is deleted, or tainted node.kubernetes.io/out-of-service (docs/kubernetes.md, "A node is lost").',
    tests: [
      {
        series: { [`tessera_layer_pieces_missing{${pod('llm-0')}}`]: '1x20' },
        at: '3m',
        labels: { namespace: 'prod' },
      },
      { series: { [`tessera_layer_pieces_missing{${pod('llm-0')}}`]: '0x20' }, at: '3m' },
    ],
  },
  {
    name: 'TesseraKvCacheLost',
    severity: 'warning',
    expr: 'sum by (namespace) (increase(tessera_kv_cache_losses_total[15m])) > 2',
    for: '0m',
    summary: `engines in ${inNamespace} lost their KV cache again and again`,
    runbook:
      'Each time a layer shard went away and what it held is computed again: answers are late, not wrong. Look for restarts of layer shards and at the network between them and the engines; a shard that takes longer than `layers.callTimeoutMs` for a prompt is taken for one that hangs.',
    tests: [
      {
        series: { [`tessera_kv_cache_losses_total{${pod('llm-0')}}`]: '0+1x40' },
        at: '10m',
        labels: { namespace: 'prod' },
      },
      { series: { [`tessera_kv_cache_losses_total{${pod('llm-0')}}`]: '0x4 1x40' }, at: '10m' },
    ],
  },
  {
    name: 'TesseraShardsBusy',
    severity: 'warning',
    expr: 'avg by (namespace, part, stage) (tessera_busy_ratio{stage=~"experts|layers"} * on (namespace, pod, instance) group_left (part) tessera_shard_info) > 0.9',
    for: '10m',
    summary: `the ${'{{ $labels.stage }}'} shards ${'{{ $labels.part }}'} of ${inNamespace} have no time left`,
    runbook:
      'The engines wait for them in every step. Add a replica of the group (experts), or a shard of the piece (layers), and raise the maximum of its autoscaler; a group that is busy while others are idle is relieved by a new placement (`tessera place counts`, `plan`, `apply`).',
    tests: [
      {
        series: {
          [`tessera_busy_ratio{${pod('experts-0')},stage="experts"}`]: '0.97x40',
          [`tessera_shard_info{${pod('experts-0')},role="experts",part="warm"}`]: '1x40',
        },
        at: '12m',
        labels: { namespace: 'prod', stage: 'experts', part: 'warm' },
      },
      {
        series: {
          [`tessera_busy_ratio{${pod('experts-0')},stage="experts"}`]: '0.5x40',
          [`tessera_shard_info{${pod('experts-0')},role="experts",part="warm"}`]: '1x40',
        },
        at: '12m',
      },
    ],
  },
  {
    name: 'TesseraErrors',
    severity: 'critical',
    expr: `sum by (namespace) (rate(tessera_gateway_requests_total{code=~"${faults.join('|')}"}[5m])) / sum by (namespace) (rate(tessera_gateway_requests_total[5m])) > 0.05`,
    for: '5m',
    summary: `more than one request in twenty fails in ${inNamespace}`,
    runbook:
      'Through no fault of their callers. Split `tessera_gateway_requests_total` by `code`; docs/errors.md says what each means. The gateway logs each failure (`request failed`, with the request id), and `trace_id` finds it in the other services.',
    tests: [
      {
        series: {
          [`tessera_gateway_requests_total{${pod('gateway-0')},code="OK"}`]: '0+80x40',
          [`tessera_gateway_requests_total{${pod('gateway-0')},code="STAGE_UNAVAILABLE"}`]: '0+20x40',
        },
        at: '12m',
        labels: { namespace: 'prod' },
      },
      {
        series: {
          [`tessera_gateway_requests_total{${pod('gateway-0')},code="OK"}`]: '0+80x40',
          [`tessera_gateway_requests_total{${pod('gateway-0')},code="PROMPT_TOO_LONG"}`]: '0+20x40',
        },
        at: '12m',
      },
    ],
  },
  {
    name: 'TesseraRefusing',
    severity: 'warning',
    expr: 'sum by (namespace) (rate(tessera_grpc_requests_total{method=~"Chat|Respond",code="RESOURCE_EXHAUSTED"}[5m])) / sum by (namespace) (rate(tessera_grpc_requests_total{method=~"Chat|Respond"}[5m])) > 0.1',
    for: '10m',
    summary: `more than one request in ten is refused in ${inNamespace}`,
    runbook:
      'There is more to do than can be done in time (`QUEUE_FULL`). The error names the stage that is short, and its autoscaler is at its maximum or slow: look at the queues and at `tessera_requests_waiting`. One client that is over its share is refused alone (`clients.maxRequests`).',
    tests: [
      {
        series: {
          [`tessera_grpc_requests_total{${pod('gateway-0')},method="Chat",code="OK"}`]: '0+70x60',
          [`tessera_grpc_requests_total{${pod('gateway-0')},method="Chat",code="RESOURCE_EXHAUSTED"}`]: '0+30x60',
        },
        at: '20m',
        labels: { namespace: 'prod' },
      },
      {
        series: {
          [`tessera_grpc_requests_total{${pod('gateway-0')},method="Chat",code="OK"}`]: '0+97x60',
          [`tessera_grpc_requests_total{${pod('gateway-0')},method="Chat",code="RESOURCE_EXHAUSTED"}`]: '0+3x60',
        },
        at: '20m',
      },
    ],
  },
  {
    name: 'TesseraGatewaysFull',
    severity: 'warning',
    expr: 'sum by (namespace) (tessera_gateway_requests_taken) / sum by (namespace) (tessera_gateway_requests_limit) > 0.8',
    for: '5m',
    summary: `the gateways of ${inNamespace} are nearly full`,
    runbook:
      'Four fifths of `requests.maxInFlight` are taken. More gateways, if the engines keep up; else requests only wait in other places.',
    tests: [
      {
        series: {
          [`tessera_gateway_requests_taken{${pod('gateway-0')}}`]: '450x30',
          [`tessera_gateway_requests_limit{${pod('gateway-0')}}`]: '512x30',
        },
        at: '8m',
        labels: { namespace: 'prod' },
      },
      {
        series: {
          [`tessera_gateway_requests_taken{${pod('gateway-0')}}`]: '100x30',
          [`tessera_gateway_requests_limit{${pod('gateway-0')}}`]: '512x30',
        },
        at: '8m',
      },
    ],
  },
  {
    name: 'TesseraFirstTokenSlow',
    severity: 'warning',
    expr: 'histogram_quantile(0.95, sum by (namespace, le) (rate(tessera_time_to_first_token_seconds_bucket[5m]) * on (instance) group_left () tessera_build_info{service="gateway"})) > 10',
    for: '10m',
    summary: `one answer in twenty takes more than ten seconds to begin in ${inNamespace}`,
    runbook:
      'As clients see it, at the gateway. Compare with the same metric of the engines: what is more is the way there, and the queues of encoder and connector (`tessera_queue_seconds`); what is in the engines is the wait for a slot or long prompts (`tessera_prefill_tokens_total`). Set the threshold to your own objective.',
    tests: [
      {
        series: {
          [`tessera_time_to_first_token_seconds_bucket{${pod('gateway-0')},le="10"}`]: '0+50x60',
          [`tessera_time_to_first_token_seconds_bucket{${pod('gateway-0')},le="30"}`]: '0+100x60',
          [`tessera_time_to_first_token_seconds_bucket{${pod('gateway-0')},le="+Inf"}`]: '0+100x60',
          [`tessera_build_info{${pod('gateway-0')},service="gateway",version="0.1.0"}`]: '1x60',
        },
        at: '20m',
        labels: { namespace: 'prod' },
      },
      {
        series: {
          [`tessera_time_to_first_token_seconds_bucket{${pod('llm-0')},le="10"}`]: '0+50x60',
          [`tessera_time_to_first_token_seconds_bucket{${pod('llm-0')},le="30"}`]: '0+100x60',
          [`tessera_time_to_first_token_seconds_bucket{${pod('llm-0')},le="+Inf"}`]: '0+100x60',
          [`tessera_build_info{${pod('llm-0')},service="llm",version="0.1.0"}`]: '1x60',
        },
        at: '20m',
      },
    ],
  },
  {
    name: 'TesseraRestarting',
    severity: 'warning',
    expr: `sum by (${perProcess}) (changes(tessera_process_start_time_seconds[30m])) > 2`,
    for: '0m',
    summary: `${process} was started again and again`,
    runbook:
      '`kubectl describe pod` has the last exit: 137 is out of memory (raise the limit by docs/sizing.md, or lower `kv.maxBytes`); 2 is a setting, and 1 a fault: the last log line (`event` is `failed`) has the sentence. What a killed stage had in hand is done by another after `nats.ackWaitMs`.',
    tests: [
      {
        series: { [`tessera_process_start_time_seconds{${pod('llm-0')}}`]: '1x10 2x10 3x10 4x10' },
        at: '18m',
        labels: processLabels('llm-0'),
      },
      { series: { [`tessera_process_start_time_seconds{${pod('llm-0')}}`]: '1x10 2x30' }, at: '18m' },
    ],
  },
  {
    name: 'TesseraReleasesMixed',
    severity: 'warning',
    expr: 'count by (namespace) (count by (namespace, version) (tessera_build_info)) > 1',
    for: '1h',
    summary: `services of two releases run in ${inNamespace}`,
    runbook:
      'As in the midst of a rolling upgrade, which should be over: look for a rollout that stands still (`kubectl rollout status`). Releases of one bus version work together; of two, they do not see each other.',
    tests: [
      {
        series: {
          [`tessera_build_info{${pod('llm-0')},service="llm",version="0.1.0"}`]: '1x150',
          [`tessera_build_info{${pod('gateway-0')},service="gateway",version="0.2.0"}`]: '1x150',
        },
        at: '70m',
        labels: { namespace: 'prod' },
      },
      {
        series: {
          [`tessera_build_info{${pod('llm-0')},service="llm",version="0.2.0"}`]: '1x150',
          [`tessera_build_info{${pod('gateway-0')},service="gateway",version="0.2.0"}`]: '1x150',
        },
        at: '70m',
      },
    ],
  },
];

/** A text with the labels of an alert in place, as Prometheus writes it. */
export function withLabels(text, labels) {
  return text
    .replaceAll(process, labels.pod ?? labels.instance)
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, label) => labels[label] ?? '');
}
