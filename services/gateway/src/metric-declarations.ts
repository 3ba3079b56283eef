import { counterMetric, gaugeMetric, histogramMetric } from '@tessera/service';

export const gatewayRequests = gaugeMetric('tessera_gateway_requests', {
  unit: 'count',
  help: 'Requests that are in a state of the request state machine.',
  labels: ['state'],
  from: 'gateway',
});

export const gatewayRequestsTaken = gaugeMetric('tessera_gateway_requests_taken', {
  unit: 'count',
  help: 'Places that requests in flight take of tessera_gateway_requests_limit: one for each choice.',
  from: 'gateway',
});

export const gatewayRequestsLimit = gaugeMetric('tessera_gateway_requests_limit', {
  unit: 'count',
  help: 'Requests that a gateway takes at a time, each as often as it has choices: requests.maxInFlight.',
  from: 'gateway',
});

export const gatewayTransitionsTotal = counterMetric('tessera_gateway_transitions_total', {
  unit: 'count',
  help: 'Times that a request entered a state.',
  labels: ['state'],
  from: 'gateway',
});

export const gatewayRequestsTotal = counterMetric('tessera_gateway_requests_total', {
  unit: 'count',
  help: 'Requests that ended, by error code; OK if without one.',
  labels: ['code'],
  from: 'gateway',
});

export const gatewayRequestSeconds = histogramMetric('tessera_gateway_request_seconds', {
  unit: 'seconds',
  help: 'Time from accepting a request to its last event.',
  from: 'gateway',
});

export const gatewayAttemptsTotal = counterMetric('tessera_gateway_attempts_total', {
  unit: 'count',
  help: 'Times that a request was sent to an engine again, unless it was refused while it waited for a place.',
  from: 'gateway',
});

export const gatewayEngines = gaugeMetric('tessera_gateway_engines', {
  unit: 'count',
  help: 'Engines heard of lately.',
  from: 'gateway',
});

export const gatewayMediaBytes = gaugeMetric('tessera_gateway_media_bytes', {
  unit: 'bytes',
  help: 'Bytes of media held for requests in flight.',
  from: 'gateway',
});

export const queueDepth = gaugeMetric('tessera_queue_depth', {
  unit: 'count',
  help: 'Jobs that wait in a work queue, over the whole fleet.',
  labels: ['kind'],
  from: 'gateway',
});

export const queueOldestSeconds = gaugeMetric('tessera_queue_oldest_seconds', {
  unit: 'seconds',
  help: 'Age of the oldest job of a queue that is not done, waiting or in work; 0 when there is none. It grows without end where a stage is missing.',
  labels: ['kind'],
  from: 'gateway',
});

export const queueAttended = gaugeMetric('tessera_queue_attended', {
  unit: 'count',
  help: 'Whether any process takes jobs of a queue: 1, or 0 where its stage is scaled to zero, starts or is gone.',
  labels: ['kind'],
  from: 'gateway',
});

export const gatewayRequestsAwaiting = gaugeMetric('tessera_gateway_requests_awaiting', {
  unit: 'count',
  help: 'Requests that wait for a stage of which no replica is there. Of the llm: for any engine.',
  labels: ['stage'],
  from: 'gateway',
});

export const streamBytes = gaugeMetric('tessera_stream_bytes', {
  unit: 'bytes',
  help: 'Bytes that a stream or bucket on NATS holds.',
  labels: ['stream'],
  from: 'gateway',
});

export const streamMaxBytes = gaugeMetric('tessera_stream_max_bytes', {
  unit: 'bytes',
  help: 'Bytes that it may hold; a stream near it holds up those who publish to it.',
  labels: ['stream'],
  from: 'gateway',
});

export const streamMessages = gaugeMetric('tessera_stream_messages', {
  unit: 'count',
  help: 'Messages that a stream or bucket on NATS holds.',
  labels: ['stream'],
  from: 'gateway',
});
