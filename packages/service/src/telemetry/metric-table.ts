/** A row of the registry of names. Counters end in `_total`; units are base units, in the name. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly unit: 'seconds' | 'bytes' | 'ratio' | 'count' | 'info';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, for a histogram. */
  readonly buckets?: readonly number[];
  /** Which processes have it. */
  readonly from: string;
}

/** From a millisecond to ten minutes, about three to a decade. */
const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** Every metric of Tessera. docs/metrics.md is made from this table. No label ever holds a request's id. */
export const metricTable = {
  tessera_build_info: {
    type: 'gauge',
    unit: 'info',
    help: 'Always 1; the labels say what runs.',
    labels: ['service', 'version'],
    from: 'every service',
  },
  tessera_model_info: {
    type: 'gauge',
    unit: 'info',
    help: 'Always 1; the labels say which model is held.',
    labels: ['name', 'revision', 'weights'],
    from: 'every service',
  },
  tessera_ready: {
    type: 'gauge',
    unit: 'count',
    help: '1 while the service takes work, 0 while it starts or drains.',
    labels: [],
    from: 'every service',
  },
  tessera_grpc_requests_total: {
    type: 'counter',
    unit: 'count',
    help: 'Calls that ended, by their gRPC status.',
    labels: ['service', 'method', 'code'],
    from: 'every service',
  },
  tessera_grpc_requests_running: {
    type: 'gauge',
    unit: 'count',
    help: 'Calls that are open.',
    labels: ['service', 'method'],
    from: 'every service',
  },
  tessera_grpc_request_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Duration of a call, from its headers to its status.',
    labels: ['service', 'method'],
    buckets: seconds,
    from: 'every service',
  },
  tessera_grpc_streams_reset_total: {
    type: 'counter',
    unit: 'count',
    help: 'Streams reset because their caller read nothing: past the deadline, or for too long (stalled).',
    labels: ['service', 'method', 'reason'],
    from: 'every service',
  },
  tessera_unknown_fields_total: {
    type: 'counter',
    unit: 'count',
    help: 'Messages with fields that this release does not know: a newer one sent them. What is known of them was used.',
    labels: ['message'],
    from: 'every service',
  },
  tessera_queue_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Time that a job waited in its queue.',
    labels: ['kind'],
    buckets: seconds,
    from: 'encoder, connector, generator',
  },
  tessera_job_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Time from taking a job to settling it.',
    labels: ['kind'],
    buckets: seconds,
    from: 'encoder, connector, generator',
  },
  tessera_jobs_total: {
    type: 'counter',
    unit: 'count',
    help: 'Deliveries that were settled: done, retried, failed, cancelled, late (its deadline passed) or exhausted (delivered too often).',
    labels: ['kind', 'outcome'],
    from: 'encoder, connector, generator',
  },
  tessera_jobs_running: {
    type: 'gauge',
    unit: 'count',
    help: 'Jobs in work.',
    labels: ['kind'],
    from: 'encoder, connector, generator',
  },
  tessera_queue_depth: {
    type: 'gauge',
    unit: 'count',
    help: 'Jobs that wait in a work queue, over the whole fleet.',
    labels: ['kind'],
    from: 'gateway',
  },
  tessera_queue_oldest_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Age of the oldest job of a queue that is not done, waiting or in work; 0 when there is none. It grows without end where a stage is missing.',
    labels: ['kind'],
    from: 'gateway',
  },
  tessera_stream_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Bytes that a stream or bucket on NATS holds.',
    labels: ['stream'],
    from: 'gateway',
  },
  tessera_stream_max_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Bytes that it may hold; a stream near it holds up those who publish to it.',
    labels: ['stream'],
    from: 'gateway',
  },
  tessera_stream_messages: {
    type: 'gauge',
    unit: 'count',
    help: 'Messages that a stream or bucket on NATS holds.',
    labels: ['stream'],
    from: 'gateway',
  },
  tessera_busy_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    help: 'Time spent computing.',
    labels: ['stage'],
    from: 'encoder, connector, llm, generator',
  },
  tessera_busy_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'Share of the last seconds spent computing, 0 to 1.',
    labels: ['stage'],
    from: 'encoder, connector, llm, generator',
  },
  tessera_wasted_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    help: 'Time that work was under way which brought nobody anything: its request was cancelled, it came late, or it failed and was or was not tried again. Of a stage, jobs from taking to settling; of the llm, sequences from their first prefill chunk. Work that shares a batch counts for each.',
    labels: ['stage', 'reason'],
    from: 'encoder, connector, llm, generator',
  },
  tessera_batch_size: {
    type: 'histogram',
    unit: 'count',
    help: 'Rows computed together: tiles or pictures.',
    labels: ['stage'],
    buckets: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128],
    from: 'encoder, connector, generator',
  },
  tessera_tiles_total: {
    type: 'counter',
    unit: 'count',
    help: 'Tiles computed.',
    labels: ['stage'],
    from: 'encoder, connector',
  },
  tessera_bytes_total: {
    type: 'counter',
    unit: 'bytes',
    help: 'Bytes of messages on NATS, by what they are (jobs, tensors, drawings) and by direction: in or out.',
    labels: ['kind', 'direction'],
    from: 'every service',
  },
  tessera_denoise_steps_total: {
    type: 'counter',
    unit: 'count',
    help: 'Denoising steps computed, counted once for each drawing in the batch.',
    labels: [],
    from: 'generator',
  },
  tessera_drawings_total: {
    type: 'counter',
    unit: 'count',
    help: 'Drawings finished.',
    labels: [],
    from: 'generator',
  },
  tessera_drawings_waiting: {
    type: 'gauge',
    unit: 'count',
    help: 'Drawings that a generator has taken and that wait for a place in its batch.',
    labels: [],
    from: 'generator',
  },
  tessera_requests_running: {
    type: 'gauge',
    unit: 'count',
    help: 'Sequences that hold a KV slot.',
    labels: [],
    from: 'llm',
  },
  tessera_requests_waiting: {
    type: 'gauge',
    unit: 'count',
    help: 'Sequences that have all that they need but a slot.',
    labels: [],
    from: 'llm',
  },
  tessera_requests_waiting_for_tiles: {
    type: 'gauge',
    unit: 'count',
    help: 'Sequences without a slot whose visual tokens are still being made.',
    labels: [],
    from: 'llm',
  },
  tessera_kv_cache_usage_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'What running sequences can come to need of the KV cache, as a share of its limit: 0 to 1.',
    labels: [],
    from: 'llm',
  },
  tessera_kv_cache_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Bytes that the KV cache holds.',
    labels: [],
    from: 'llm',
  },
  tessera_kv_cache_limit_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Bytes that the KV cache may take: kv.maxBytes, or what the memory leaves.',
    labels: [],
    from: 'llm',
  },
  tessera_preemptions_total: {
    type: 'counter',
    unit: 'count',
    help: 'Sequences waiting for visual tokens that lost their slot to one that had all of its own.',
    labels: [],
    from: 'llm',
  },
  tessera_time_to_first_token_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Time to the first token: at the llm from its admission, at the gateway from accepting the request until its text leaves.',
    labels: [],
    buckets: seconds,
    from: 'llm, gateway',
  },
  tessera_inter_token_latency_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Time between two tokens of a sequence.',
    labels: [],
    buckets: seconds,
    from: 'llm',
  },
  tessera_prefill_tokens_total: {
    type: 'counter',
    unit: 'count',
    help: 'Prompt positions computed.',
    labels: [],
    from: 'llm',
  },
  tessera_decode_tokens_total: {
    type: 'counter',
    unit: 'count',
    help: 'Tokens written.',
    labels: [],
    from: 'llm',
  },
  tessera_gateway_requests: {
    type: 'gauge',
    unit: 'count',
    help: 'Requests that are in a state of the request state machine.',
    labels: ['state'],
    from: 'gateway',
  },
  tessera_gateway_transitions_total: {
    type: 'counter',
    unit: 'count',
    help: 'Times that a request entered a state.',
    labels: ['state'],
    from: 'gateway',
  },
  tessera_gateway_requests_total: {
    type: 'counter',
    unit: 'count',
    help: 'Requests that ended, by error code; OK if without one.',
    labels: ['code'],
    from: 'gateway',
  },
  tessera_gateway_request_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Time from accepting a request to its last event.',
    labels: [],
    buckets: seconds,
    from: 'gateway',
  },
  tessera_gateway_attempts_total: {
    type: 'counter',
    unit: 'count',
    help: 'Times that a request was sent to an engine again.',
    labels: [],
    from: 'gateway',
  },
  tessera_gateway_engines: {
    type: 'gauge',
    unit: 'count',
    help: 'Engines heard of lately.',
    labels: [],
    from: 'gateway',
  },
  tessera_gateway_media_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Bytes of media held for requests in flight.',
    labels: [],
    from: 'gateway',
  },
  tessera_spans_total: {
    type: 'counter',
    unit: 'count',
    help: 'Spans that were sent to the collector (exported) or lost because it did not take them (failed). Only where traces are exported.',
    labels: ['outcome'],
    from: 'every service',
  },
  tessera_nats_connected: {
    type: 'gauge',
    unit: 'count',
    help: '1 while NATS is connected, else 0.',
    labels: [],
    from: 'every service',
  },
  tessera_nats_reconnects_total: {
    type: 'counter',
    unit: 'count',
    help: 'Times that the connection to NATS came back.',
    labels: [],
    from: 'every service',
  },
  tessera_nats_full_total: {
    type: 'counter',
    unit: 'count',
    help: 'Messages that had to wait because their stream was full.',
    labels: ['kind'],
    from: 'every service',
  },
  tessera_nats_full_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    help: 'Time that messages waited for room on a full stream.',
    labels: ['kind'],
    from: 'every service',
  },
  tessera_jobs_stalled_total: {
    type: 'counter',
    unit: 'count',
    help: 'Jobs that were taken from a handler that gave no sign of progress.',
    labels: ['kind'],
    from: 'encoder, connector, generator',
  },
  tessera_nats_dropped_total: {
    type: 'counter',
    unit: 'count',
    help: 'Messages received and not used: duplicate, stale, corrupt or oversized.',
    labels: ['reason'],
    from: 'every service',
  },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof metricTable;

/** The names of the metrics of one type. */
export type MetricNameOf<Type extends MetricRow['type']> = {
  [N in MetricName]: (typeof metricTable)[N]['type'] extends Type ? N : never;
}[MetricName];

export type LabelOf<N extends MetricName> = (typeof metricTable)[N]['labels'][number];
