import { counterMetric, gaugeMetric, histogramMetric } from './metric.js';

// Metrics that more than one service sets, each from what it alone knows.

export const modelInfoGauge = gaugeMetric('tessera_model_info', {
  unit: 'info',
  help: 'Always 1; the labels say which model is held.',
  labels: ['name', 'revision', 'weights'],
  from: 'every service',
});

export const busySecondsTotal = counterMetric('tessera_busy_seconds_total', {
  unit: 'seconds',
  help: 'Time spent computing. The stage of a shard is its role, experts or layers; of the experts all time counts that their thread is not idle, since it answers too.',
  labels: ['stage'],
  from: 'encoder, connector, llm, generator',
});

export const busyRatio = gaugeMetric('tessera_busy_ratio', {
  unit: 'ratio',
  help: 'Share of the last seconds spent computing, 0 to 1, as tessera_busy_seconds_total has it.',
  labels: ['stage'],
  from: 'encoder, connector, llm, generator',
});

export const wastedSecondsTotal = counterMetric('tessera_wasted_seconds_total', {
  unit: 'seconds',
  help: 'Time that work was under way which brought nobody anything: its request was cancelled, it came late, or it failed and was or was not tried again. Of a stage, jobs from taking to settling; of the llm, sequences from their first prefill chunk. Work that shares a batch counts for each.',
  labels: ['stage', 'reason'],
  from: 'encoder, connector, llm, generator',
});

export const timeToFirstTokenSeconds = histogramMetric('tessera_time_to_first_token_seconds', {
  unit: 'seconds',
  help: 'Time to the first token: at the llm from its admission, at the gateway from accepting the request until its text leaves.',
  from: 'llm, gateway',
});
