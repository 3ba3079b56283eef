/** A row of the registry of span names. Variables of a name stand in braces. */
export interface SpanRow {
  readonly kind: 'server' | 'client' | 'producer' | 'consumer' | 'internal';
  readonly help: string;
  /** Its attributes, besides `error.type` with the code of the error table where it failed. */
  readonly attributes: readonly string[];
  /** Which processes have it. */
  readonly from: string;
}

const messaging = [
  'messaging.system.name',
  'messaging.operation.name',
  'messaging.operation.type',
  'messaging.destination.name',
  'tessera.request.id',
] as const;
const expertWork = [
  'tessera.expert.group',
  'tessera.expert.layer',
  'tessera.expert.experts',
  'tessera.expert.rows',
] as const;
const layerWork = ['tessera.layers.piece', 'tessera.layers.rows', 'tessera.layers.positions'] as const;
const rpc = ['rpc.system.name', 'rpc.method', 'rpc.status_code'] as const;

/**
 * Every span of Tessera; docs/traces.md is made from this table. Names and attributes are those of OpenTelemetry's
 * conventions for RPC, messaging and generative AI; what these do not know begins with `tessera.`. No span holds a word of
 * a conversation.
 */
export const spanTable = {
  '{rpc.method} (server)': {
    kind: 'server',
    help: 'A gRPC call, from its headers to its status.',
    attributes: rpc,
    from: 'every service',
  },
  '{rpc.method} (client)': {
    kind: 'client',
    help: "A gRPC call as its caller sees it: the gateway's to an engine.",
    attributes: [...rpc, 'server.address'],
    from: 'gateway',
  },
  'chat {model}': {
    kind: 'internal',
    help: 'One request, from its acceptance to its last event; an event of the span for each state it enters, and `awaits` with the stages of which no replica is there.',
    attributes: [
      'gen_ai.operation.name',
      'gen_ai.provider.name',
      'gen_ai.request.model',
      'gen_ai.request.max_tokens',
      'gen_ai.request.temperature',
      'gen_ai.request.top_p',
      'gen_ai.request.top_k',
      'gen_ai.request.choice.count',
      'gen_ai.request.seed',
      'gen_ai.output.type',
      'tessera.request.id',
      'tessera.request.messages',
      'enduser.id',
      'gen_ai.response.id',
      'gen_ai.response.model',
      'gen_ai.response.finish_reasons',
      'gen_ai.response.time_to_first_chunk',
      'gen_ai.usage.input_tokens',
      'gen_ai.usage.output_tokens',
      'tessera.usage.media_tokens',
      'tessera.usage.drawings',
    ],
    from: 'gateway',
  },
  'send {kind}': {
    kind: 'producer',
    help: 'A job on its way into its queue, waits for room included. The job carries this span on.',
    attributes: messaging,
    from: 'encoder, gateway, llm',
  },
  'process {kind}': {
    kind: 'consumer',
    help: 'One delivery of a job, from taking it to settling it. It begins when the wait in the queue is over; `tessera.job.queue_ms` is that wait.',
    attributes: [
      ...messaging,
      'messaging.consumer.group.name',
      'tessera.job.queue_ms',
      'tessera.job.deliveries',
      'tessera.job.outcome',
    ],
    from: 'connector, encoder, generator',
  },
  'engine admission': {
    kind: 'internal',
    help: 'A sequence from its submission until its first prefill chunk: the wait for a slot, and for its first tiles.',
    attributes: ['tessera.request.id', 'tessera.request.attempt'],
    from: 'llm',
  },
  'engine prefill': {
    kind: 'internal',
    help: 'From the first prefill chunk until the first token, waits for tiles included.',
    attributes: [
      'tessera.request.id',
      'tessera.request.attempt',
      'gen_ai.usage.input_tokens',
      'tessera.usage.media_tokens',
    ],
    from: 'llm',
  },
  'engine decode': {
    kind: 'internal',
    help: 'From the first token until the last.',
    attributes: ['tessera.request.id', 'tessera.request.attempt', 'gen_ai.usage.output_tokens'],
    from: 'llm',
  },
  'expert call': {
    kind: 'client',
    help: "An engine's call of an expert shard, which a step makes for many requests: a trace of its own. Of the thousands in a second, those that failed (64 at most) and the longest one of each group.",
    attributes: [...expertWork, 'server.address'],
    from: 'llm',
  },
  'expert compute': {
    kind: 'internal',
    help: 'A batch in an expert shard: the first in each second, a trace of its own.',
    attributes: expertWork,
    from: 'llm',
  },
  'layer call': {
    kind: 'client',
    help: "An engine's call of a layer shard, which a step makes for many requests: a trace of its own. Of those in a second, those that failed (64 at most) and the longest one of each piece.",
    attributes: [...layerWork, 'server.address'],
    from: 'llm',
  },
  'layer compute': {
    kind: 'internal',
    help: 'A call in a layer shard: the first in each second, a trace of its own.',
    attributes: layerWork,
    from: 'llm',
  },
  draw: {
    kind: 'internal',
    help: 'A drawing from its place in line to its picture; `tessera.draw.queue_ms` is the wait for a place in the batch.',
    attributes: ['tessera.draw.steps', 'tessera.draw.queue_ms', 'tessera.draw.busy_ms'],
    from: 'generator',
  },
} as const satisfies Record<string, SpanRow>;

/** A Markdown table of every span. */
export function spansMarkdown(): string {
  const rows = Object.entries<SpanRow>(spanTable).map(
    ([name, { kind, from, help, attributes }]) =>
      `| \`${name}\` | ${kind} | ${from} | ${help} | ${attributes.map((attribute) => `\`${attribute}\``).join(', ')} |`,
  );
  return ['| Span | Kind | From | Meaning | Attributes |', '|---|---|---|---|---|', ...rows].join('\n');
}
