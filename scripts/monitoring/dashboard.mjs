// One Grafana dashboard for a deployment, row by row in the order in which a request passes the stages.

/** Only of the namespaces that are chosen; without Kubernetes there is none, and all are. */
const ns = 'namespace=~"$namespace"';
const range = '[$__rate_interval]';
const chats = `${ns},method=~"Chat|Respond"`;
const rate = (metric, labels = ns) => `rate(${metric}{${labels}}${range})`;
const quantile = (q, metric, { by = '', of } = {}) => {
  const buckets = rate(`${metric}_bucket`);
  const own =
    of === undefined ? buckets : `${buckets} * on (instance) group_left () tessera_build_info{service="${of}"}`;
  return `histogram_quantile(${q}, sum by (le${by === '' ? '' : `, ${by}`}) (${own}))`;
};
const quantiles = (metric, options = {}) =>
  ['0.5', '0.95', '0.99'].map((q) => [quantile(q, metric, options), `p${Number(q) * 100}${options.legend ?? ''}`]);

/** What a row shows: title, unit of Grafana, and queries with their legends. */
const rows = [
  {
    title: 'Requests',
    panels: [
      [
        'Requests a second, by how they ended',
        'reqps',
        [[`sum by (code) (${rate('tessera_gateway_requests_total')})`, '{{code}}']],
      ],
      [
        'Refused a second',
        'reqps',
        [[`sum by (code) (${rate('tessera_grpc_requests_total', `${chats},code!="OK"`)})`, '{{code}}']],
      ],
      ['In flight, by state', 'short', [[`sum by (state) (tessera_gateway_requests{${ns}})`, '{{state}}']]],
      [
        'Waiting for a stage that nobody is there of',
        'short',
        [[`sum by (stage) (tessera_gateway_requests_awaiting{${ns}})`, '{{stage}}']],
      ],
      [
        'Time to the first token, at the gateway',
        's',
        quantiles('tessera_time_to_first_token_seconds', { of: 'gateway' }),
      ],
      ['Time to the last event', 's', quantiles('tessera_gateway_request_seconds')],
      [
        'Requests in flight, and what the gateways take',
        'short',
        [
          [`sum (tessera_gateway_requests_taken{${ns}})`, 'taken'],
          [`sum (tessera_gateway_requests_limit{${ns}})`, 'limit'],
        ],
      ],
      ['Sent to a further engine a second', 'reqps', [[`sum (${rate('tessera_gateway_attempts_total')})`, 'attempts']]],
    ],
  },
  {
    title: 'Encoder, connector, generator',
    panels: [
      ['Jobs that wait', 'short', [[`max by (kind) (tessera_queue_depth{${ns}})`, '{{kind}}']]],
      ['Age of the oldest job', 's', [[`max by (kind) (tessera_queue_oldest_seconds{${ns}})`, '{{kind}}']]],
      ['Whether anybody takes jobs', 'short', [[`max by (kind) (tessera_queue_attended{${ns}})`, '{{kind}}']]],
      [
        'Jobs a second, by how they ended',
        'ops',
        [[`sum by (kind, outcome) (${rate('tessera_jobs_total')})`, '{{kind}} {{outcome}}']],
      ],
      ['Time in the queue, 95 of 100', 's', [[quantile('0.95', 'tessera_queue_seconds', { by: 'kind' }), '{{kind}}']]],
      ['Time of a job, 95 of 100', 's', [[quantile('0.95', 'tessera_job_seconds', { by: 'kind' }), '{{kind}}']]],
      [
        'Share of the time that is computed',
        'percentunit',
        [[`avg by (stage) (tessera_busy_ratio{${ns},stage!~"experts|layers"})`, '{{stage}}']],
      ],
      [
        'Rows computed together',
        'short',
        [
          [
            `sum by (stage) (${rate('tessera_batch_size_sum')}) / sum by (stage) (${rate('tessera_batch_size_count')})`,
            '{{stage}}',
          ],
        ],
      ],
      ['Drawings that wait for a place in the batch', 'short', [[`sum (tessera_drawings_waiting{${ns}})`, 'waiting']]],
      [
        'Time spent for nobody, seconds a second',
        's',
        [[`sum by (stage, reason) (${rate('tessera_wasted_seconds_total')})`, '{{stage}} {{reason}}']],
      ],
    ],
  },
  {
    title: 'Engines',
    panels: [
      ['Engines heard of', 'short', [[`max (tessera_gateway_engines{${ns}})`, 'engines']]],
      [
        'Sequences',
        'short',
        [
          [`sum (tessera_requests_running{${ns}})`, 'running'],
          [`sum (tessera_requests_waiting{${ns}})`, 'waiting'],
          [`sum (tessera_requests_waiting_for_tiles{${ns}})`, 'waiting for tiles'],
        ],
      ],
      [
        'KV cache in use',
        'percentunit',
        [
          [`avg (tessera_kv_cache_usage_ratio{${ns}})`, 'mean'],
          [`max (tessera_kv_cache_usage_ratio{${ns}})`, 'fullest engine'],
        ],
      ],
      [
        'Tokens a second',
        'short',
        [
          [`sum (${rate('tessera_decode_tokens_total')})`, 'written'],
          [`sum (${rate('tessera_prefill_tokens_total')})`, 'prompts computed'],
          [`sum (${rate('tessera_prefix_cache_hit_tokens_total')})`, 'prompts from the cache'],
        ],
      ],
      ['Time between two tokens', 's', quantiles('tessera_inter_token_latency_seconds')],
      [
        'Preemptions and lost caches a second',
        'ops',
        [
          [`sum (${rate('tessera_preemptions_total')})`, 'preemptions'],
          [`sum (${rate('tessera_kv_cache_losses_total')})`, 'lost caches'],
        ],
      ],
    ],
  },
  {
    title: 'Expert and layer shards',
    panels: [
      [
        'Rows that expert shards compute a second',
        'short',
        [
          [
            `sum by (part) (${rate('tessera_expert_shard_rows_total')} * on (namespace, pod, instance) group_left (part) tessera_shard_info{role="experts"})`,
            '{{part}}',
          ],
        ],
      ],
      [
        'Rows a second that a shard could compute',
        'short',
        [
          [
            `sum by (pod) (${rate('tessera_expert_shard_rows_total')}) / sum by (pod) (${rate('tessera_busy_seconds_total', `${ns},stage="experts"`)})`,
            '{{pod}}',
          ],
        ],
      ],
      [
        'Share of the time that shards compute',
        'percentunit',
        [
          [
            `avg by (stage, part) (tessera_busy_ratio{${ns},stage=~"experts|layers"} * on (namespace, pod, instance) group_left (part) tessera_shard_info)`,
            '{{stage}} {{part}}',
          ],
        ],
      ],
      [
        'Calls of shards, 99 of 100',
        's',
        [
          [quantile('0.99', 'tessera_expert_call_seconds'), 'experts'],
          [quantile('0.99', 'tessera_layer_call_seconds'), 'layers'],
        ],
      ],
      [
        'Experts and pieces that nobody holds',
        'short',
        [
          [`max (tessera_experts_missing{${ns}})`, 'experts'],
          [`max (tessera_layer_pieces_missing{${ns}})`, 'pieces'],
        ],
      ],
      [
        'Calls that went to another holder a second',
        'ops',
        [
          [`sum (${rate('tessera_expert_failovers_total')})`, 'failed'],
          [`sum (${rate('tessera_expert_hedges_total')})`, 'slow'],
        ],
      ],
    ],
  },
  {
    title: 'NATS',
    panels: [
      [
        'How full streams are',
        'percentunit',
        [[`max by (stream) (tessera_stream_bytes{${ns}} / (tessera_stream_max_bytes{${ns}} > 0))`, '{{stream}}']],
      ],
      [
        'Bytes a second, by what they are',
        'Bps',
        [[`sum by (kind) (${rate('tessera_bytes_total', `${ns},direction="out"`)})`, '{{kind}}']],
      ],
      [
        'Waits for room, seconds a second',
        's',
        [[`sum by (kind) (${rate('tessera_nats_full_seconds_total')})`, '{{kind}}']],
      ],
      [
        'Processes without NATS',
        'short',
        [[`count (tessera_nats_connected{${ns}} == 0) or vector(0)`, 'disconnected']],
      ],
    ],
  },
  {
    title: 'Processes',
    panels: [
      [
        'Ready',
        'short',
        [
          [
            `sum by (service) (tessera_ready{${ns}} * on (instance) group_left (service) tessera_build_info)`,
            '{{service}}',
          ],
        ],
      ],
      [
        'Resident memory',
        'bytes',
        [
          [
            `max by (service) (tessera_process_resident_memory_bytes{${ns}} * on (instance) group_left (service) tessera_build_info)`,
            '{{service}}, largest',
          ],
        ],
      ],
      [
        'Processors',
        'short',
        [
          [
            `sum by (service) (${rate('tessera_process_cpu_seconds_total')} * on (instance) group_left (service) tessera_build_info)`,
            '{{service}}',
          ],
        ],
      ],
      [
        'Lag of the event loop, 99 of 100',
        's',
        [
          [
            `max by (service) (tessera_nodejs_eventloop_lag_p99_seconds{${ns}} * on (instance) group_left (service) tessera_build_info)`,
            '{{service}}',
          ],
        ],
      ],
      [
        'Starts in the last hour',
        'short',
        [
          [
            `sum by (service) (changes(tessera_process_start_time_seconds{${ns}}[1h]) * on (instance) group_left (service) tessera_build_info)`,
            '{{service}}',
          ],
        ],
      ],
      ['What runs', 'short', [[`count by (service, version) (tessera_build_info{${ns}})`, '{{service}} {{version}}']]],
    ],
  },
];

const columns = 24;
const size = { w: 8, h: 8 };
const datasource = { type: 'prometheus', uid: '$datasource' };

export function dashboardJson() {
  const panels = [];
  let y = 0;
  for (const { title, panels: inRow } of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: columns, h: 1 },
      panels: [],
    });
    y++;
    for (const [at, [name, unit, queries]] of inRow.entries()) {
      const perLine = columns / size.w;
      panels.push({
        id: panels.length + 1,
        type: 'timeseries',
        title: name,
        datasource,
        gridPos: { x: (at % perLine) * size.w, y: y + Math.floor(at / perLine) * size.h, ...size },
        fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 8, showPoints: 'never' } }, overrides: [] },
        options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
        targets: queries.map(([expr, legendFormat], index) => ({
          refId: String.fromCharCode(65 + index),
          datasource,
          expr,
          legendFormat,
        })),
      });
    }
    y += Math.ceil(inRow.length / (columns / size.w)) * size.h;
  }
  const dashboard = {
    uid: 'tessera',
    title: 'Tessera',
    description: 'Made by scripts/generate-docs.mjs from scripts/monitoring; do not edit.',
    tags: ['tessera'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    timezone: '',
    templating: {
      list: [
        { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
        {
          name: 'namespace',
          label: 'Namespace',
          type: 'query',
          datasource,
          query: { query: 'label_values(tessera_build_info, namespace)', refId: 'namespace' },
          refresh: 2,
          multi: true,
          includeAll: true,
          allValue: '.*',
          current: { text: 'All', value: '$__all' },
        },
      ],
    },
    annotations: { list: [] },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}
