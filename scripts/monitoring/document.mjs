// docs/monitoring.md: how a deployment is watched, and what to do when it says something.
import { alerts } from './alerts.mjs';

const rows = alerts.map(({ name, severity, summary, for: pending }) => {
  const words = summary.replaceAll(/\{\{.*?labels\.(\w+)( \$labels\.\w+)? \}\}/g, (_, label) => `<${label}>`);
  return `| [${name}](#${name.toLowerCase()}) | ${severity} | ${pending} | ${words} |`;
});

const runbooks = alerts.map(({ name, expr, runbook }) => `### ${name}\n\n\`\`\`text\n${expr}\n\`\`\`\n\n${runbook}\n`);

/** What a stage is scaled by: on what, how to ask for it, and its rule. */
const signals = [
  [
    'encoder, connector, generator',
    'jobs of the queue that are not done',
    'the consumer `workers` of the stream `<prefix>_v2_<kind>_<revision>` (KEDA `nats-jetstream`), or `max by (kind) (tessera_queue_depth)` of the gateways of one revision, since each says it of its own',
    'a replica for as many jobs as it does within the wait that you allow; 0 where there are none',
  ],
  [
    'engines',
    'sequences that wait for a slot, and the KV cache in use',
    '`sum(tessera_requests_waiting)`, `avg(tessera_kv_cache_usage_ratio)`',
    'add one while any waits for long, or above 0.8; never below one: their start is the loading of the model, and requests wait for an engine `engines.waitMs` only. `tessera_gateway_requests_awaiting{stage="llm"}` counts those that do',
  ],
  [
    'expert shards, each group',
    'rows a second against what a shard can do',
    '`avg(tessera_busy_ratio{stage="experts"})`, or `sum(rate(tessera_expert_shard_rows_total[2m]))` against `sum(rate(tessera_expert_shard_rows_total[10m])) / sum(rate(tessera_busy_seconds_total{stage="experts"}[10m]))`, the rows a second that one shard could compute',
    'busy at 0.7 of the time; never below one a group. `tessera_shard_info` has the group (`part`) where pods have no label of it',
  ],
  [
    'layer shards, each piece',
    'time that they compute',
    '`avg(tessera_busy_ratio{stage="layers"})`',
    'engines are added with their shards (`layers.enginesPerShard`); a ratio near 1 says that a piece is the bottleneck',
  ],
  [
    'gateway',
    'places that open streams take, one for each choice, and processors',
    '`sum(tessera_gateway_requests_taken)` against `sum(tessera_gateway_requests_limit)`',
    'half of the limit; never below one',
  ],
];

/** What the model server protocol asks for, in the words of its configuration. */
const protocol = [
  [
    'queued requests',
    'queuedRequestsSpec',
    'total-queued-requests-metric',
    'tessera_requests_waiting',
    'tessera_gateway_requests{state=queued}',
  ],
  [
    'running requests',
    'runningRequestsSpec',
    'total-running-requests-metric',
    'tessera_requests_running',
    'tessera_gateway_requests{state=decoding}',
  ],
  [
    'KV cache in use, 0 to 1',
    'kvUsageSpec',
    'kv-cache-usage-percentage-metric',
    'tessera_kv_cache_usage_ratio',
    '(none: "")',
  ],
  ['blocks of the cache', 'cacheInfoSpec', 'cache-info-metric', '(none: "")', '(none: "")'],
  ['LoRA adapters', 'loraSpec', 'lora-info-metric', '(none: "")', '(none: "")'],
];

const table = (head, lines) => {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...lines.map(line)].join('\n');
};
const escaped = (cells) => cells.map((cell) => cell.replaceAll('|', '\\|'));
const code = (text) => (text.startsWith('(') ? text : `\`${text}\``);

export const monitoringMarkdown = () => `# Monitoring

How a deployment is watched, what it is scaled by, and what to do when it says something. What each metric means stands in
[metrics.md](metrics.md), traces in [traces.md](traces.md). The rules, their tests and the dashboard in \`deploy/monitoring\` are
made with this page from \`scripts/monitoring\`; a test holds every query against the registry of metrics.

## To begin

Every service serves \`/metrics\`, \`/healthz\` and \`/readyz\` on \`metrics.port\`, in the charts 9090. \`podMonitor.enabled\` of a
chart makes a PodMonitor; without the Prometheus operator scrape the port \`metrics\` of every pod, and keep its namespace and
pod as the labels \`namespace\` and \`pod\`. Scrape at least every 30 s.

\`\`\`sh
kubectl apply -n monitoring -f deploy/monitoring/prometheus-rule.yaml   # with the operator
promtool check rules deploy/monitoring/alerts.yaml                      # without: for rule_files
\`\`\`

\`deploy/monitoring/dashboard.json\` is imported in Grafana (Dashboards, Import), or put into a ConfigMap for its sidecar. It asks
which Prometheus and which namespaces; a rolling upgrade shows as two versions in its last panel.

| file | what |
|---|---|
| \`alerts.yaml\` | the rules, for \`rule_files\` |
| \`prometheus-rule.yaml\` | the same as a PrometheusRule |
| \`alerts.test.yaml\` | when each fires and when it is silent: \`npm run test:monitoring\` runs promtool (Debian: package prometheus) |
| \`dashboard.json\` | the dashboard |

Thresholds are those of nobody's service level. Change them in a copy: an alert that is not acted upon is worse than none.

## Alerts

${table(['alert', 'severity', 'after', 'says'], []).split('\n').slice(0, 2).join('\n')}
${rows.join('\n')}

critical: requests fail, or will. warning: they are late, or will be; no hurry at night.

${runbooks.join('\n')}
## What stages are scaled by

The charts set these (\`autoscaling\`); here they stand for other autoscalers, and to look at.

${table(['what', 'signal', 'query', 'rule'], signals.map(escaped))}

\`tessera_queue_depth\` and \`tessera_queue_attended\` are of the whole fleet and the same from every gateway: take the maximum, not
the sum. Everything else is of one process.

## Gateway API Inference Extension

Its endpoint picker chooses among pods by what their metrics say, and its model server protocol lets their names be set: by
\`engineConfigs\` of the metrics extractor in EndpointPickerConfig, in older releases by flags. Tessera's engines serve what it
asks for under their own names:

${table(
  ['asked for', 'key of engineConfigs', 'flag', 'of an engine', 'of a gateway'],
  protocol.map(([what, key, flag, engine, gateway]) => [what, code(key), code(flag), code(engine), code(gateway)]),
)}

The cache has no blocks of a fixed size ([architecture.md](architecture.md#inside-the-stages)), and adapters are not built: set
these two to the empty string, which turns them off.

Engines are called by Tessera's gateways, which choose among them as a picker does, by load, by cached prompts and by what
became of the last attempt; and they speak \`LlmService\`, not OpenAI's API. So a pool of the extension is one of gateways, and
its picker spreads calls over them without reading them (\`passthrough-parser\`). That is worth it where one route leads to
several deployments; for one a plain Service, or a GRPCRoute to it, does the same.

\`deploy/examples/manifests/inference-pool.yaml\` has the pool and its route. Its picker is told:

\`\`\`yaml
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: passthrough-parser
  - type: core-metrics-extractor
    parameters:
      defaultEngine: tessera
      engineConfigs:
        - name: tessera
          queuedRequestsSpec: "tessera_gateway_requests{state=queued}"
          runningRequestsSpec: "tessera_gateway_requests{state=decoding}"
          kvUsageSpec: ""
          loraSpec: ""
          cacheInfoSpec: ""
  - type: queue-scorer
  - type: max-score-picker
schedulingProfiles:
  - name: default
    plugins:
      - pluginRef: queue-scorer
      - pluginRef: max-score-picker
parser:
  pluginRef: passthrough-parser
\`\`\`

with its flag \`model-server-metrics-port\` at 9090 where its release has one, and with the gateways' \`networkPolicy.scrapers\` naming its
pods, since it reads their metrics.

Names of plugins and API groups differ between releases of the extension; these are of 2026 and were not run here. A GRPCRoute
whose \`backendRefs\` name the Service \`tessera-gateway\`, port 7000, needs none of it.
`;
