import { counterMetric, gaugeMetric, histogramMetric } from '@tessera/service';

export const requestsRunning = gaugeMetric('tessera_requests_running', {
  unit: 'count',
  help: 'Sequences that hold a KV slot.',
  from: 'llm',
});

export const requestsWaiting = gaugeMetric('tessera_requests_waiting', {
  unit: 'count',
  help: 'Sequences that have all that they need but a slot.',
  from: 'llm',
});

export const requestsWaitingForTiles = gaugeMetric('tessera_requests_waiting_for_tiles', {
  unit: 'count',
  help: 'Sequences without a slot whose visual tokens are still being made.',
  from: 'llm',
});

export const kvCacheUsageRatio = gaugeMetric('tessera_kv_cache_usage_ratio', {
  unit: 'ratio',
  help: 'What running sequences can come to need of the KV cache, as a share of its limit: 0 to 1.',
  from: 'llm',
});

export const kvCacheBytes = gaugeMetric('tessera_kv_cache_bytes', {
  unit: 'bytes',
  help: 'Bytes that the KV cache holds, for running sequences and of those that have ended.',
  from: 'llm',
});

export const prefixCacheBytes = gaugeMetric('tessera_prefix_cache_bytes', {
  unit: 'bytes',
  help: 'Bytes of the KV cache that hold beginnings of sequences that have ended; running ones take them when they need the room.',
  from: 'llm',
});

export const prefixCacheHitTokensTotal = counterMetric('tessera_prefix_cache_hit_tokens_total', {
  unit: 'count',
  help: 'Prompt positions that were taken from the cache. With tessera_prefill_tokens_total, which counts those computed, it gives the share.',
  from: 'llm',
});

export const kvCacheLimitBytes = gaugeMetric('tessera_kv_cache_limit_bytes', {
  unit: 'bytes',
  help: 'Bytes that the KV cache may take: kv.maxBytes, or what the memory leaves.',
  from: 'llm',
});

export const preemptionsTotal = counterMetric('tessera_preemptions_total', {
  unit: 'count',
  help: 'Sequences that lost their slot: to one of a higher priority, or, while they waited for visual tokens, to one that had all of its own.',
  from: 'llm',
});

export const interTokenLatencySeconds = histogramMetric('tessera_inter_token_latency_seconds', {
  unit: 'seconds',
  help: 'Time between two tokens of a sequence.',
  from: 'llm',
});

export const prefillTokensTotal = counterMetric('tessera_prefill_tokens_total', {
  unit: 'count',
  help: 'Prompt positions computed.',
  from: 'llm',
});

export const expertRowsTotal = counterMetric('tessera_expert_rows_total', {
  unit: 'count',
  help: 'Rows that an engine whose experts are placed sent to each expert: tessera place counts takes them from here.',
  labels: ['layer', 'expert'],
  from: 'llm',
});

export const expertCallSeconds = histogramMetric('tessera_expert_call_seconds', {
  unit: 'seconds',
  help: 'Time from a call of an expert shard to its answer.',
  from: 'llm',
});

export const expertCallsRunning = gaugeMetric('tessera_expert_calls_running', {
  unit: 'count',
  help: 'Calls of expert shards that an engine waits for, by the group of the shard. While the engine computes a long step, as of the second before.',
  labels: ['group'],
  from: 'llm',
});

export const expertFailoversTotal = counterMetric('tessera_expert_failovers_total', {
  unit: 'count',
  help: 'Calls of an expert shard that failed, and that another holder was asked for, if there was one.',
  from: 'llm',
});

export const expertHedgesTotal = counterMetric('tessera_expert_hedges_total', {
  unit: 'count',
  help: 'Calls of an expert shard that took longer than 99 of 100, and that another holder was asked for, too.',
  from: 'llm',
});

export const expertUnavailableRowsTotal = counterMetric('tessera_expert_unavailable_rows_total', {
  unit: 'count',
  help: 'Rows for an expert that no shard held which answered; their sequences were tried again at the next step.',
  from: 'llm',
});

export const expertsMissing = gaugeMetric('tessera_experts_missing', {
  unit: 'count',
  help: 'Experts of the placement in use that no shard holds which answers, nor the engine itself; what needs them waits.',
  from: 'llm',
});

export const expertsHeld = gaugeMetric('tessera_experts_held', {
  unit: 'count',
  help: 'Experts that an expert shard holds, of all layers together.',
  from: 'llm',
});

export const expertShardRowsTotal = counterMetric('tessera_expert_shard_rows_total', {
  unit: 'count',
  help: 'Rows that an expert shard computed.',
  from: 'llm',
});

export const shardInfo = gaugeMetric('tessera_shard_info', {
  unit: 'info',
  help: 'Of a shard always 1; the labels say its role (experts or layers), and which part of the model it holds: its group, or the number of its piece.',
  labels: ['role', 'part'],
  from: 'llm',
});

export const layerCallSeconds = histogramMetric('tessera_layer_call_seconds', {
  unit: 'seconds',
  help: 'Time from a call of a layer shard to its answer.',
  from: 'llm',
});

export const layerCallsRunning = gaugeMetric('tessera_layer_calls_running', {
  unit: 'count',
  help: 'Calls of layer shards that an engine waits for, by the piece; as of this moment, or of the second before while the engine computes.',
  labels: ['piece'],
  from: 'llm',
});

export const layerPiecesMissing = gaugeMetric('tessera_layer_pieces_missing', {
  unit: 'count',
  help: 'Pieces of the layers that no layer shard holds for this engine; requests wait while there are any.',
  from: 'llm',
});

export const layerShardPositionsTotal = counterMetric('tessera_layer_shard_positions_total', {
  unit: 'count',
  help: 'Positions that a layer shard computed.',
  from: 'llm',
});

export const kvCacheLossesTotal = counterMetric('tessera_kv_cache_losses_total', {
  unit: 'count',
  help: 'How often an engine lost its KV cache with a layer shard; what it held is computed again.',
  from: 'llm',
});

export const decodeTokensTotal = counterMetric('tessera_decode_tokens_total', {
  unit: 'count',
  help: 'Tokens written.',
  from: 'llm',
});

export const proposedTokensTotal = counterMetric('tessera_speculation_proposed_tokens_total', {
  unit: 'count',
  help: 'Tokens that were guessed from what the text had before, and verified together with the next one (engine.speculativeTokens).',
  from: 'llm',
});

export const acceptedTokensTotal = counterMetric('tessera_speculation_accepted_tokens_total', {
  unit: 'count',
  help: 'Guessed tokens that were right, and so were written without a step of their own.',
  from: 'llm',
});
