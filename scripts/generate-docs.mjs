// Writes the documents that are made from the code: the API, the client, errors, metrics, traces, configuration,
// permissions, request states; rules and dashboard of monitoring, with their document; and of the charts what the code knows: schemas of their values, defaults, names of queues.
// With --check it writes nothing and fails when one of them is out of date.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { natsSettings } from '@tessera/bus';
import { connectorSettings } from '@tessera/connector';
import { encoderSettings } from '@tessera/encoder';
import { gatewaySettings, nextStates, stateName } from '@tessera/gateway';
import { generatorSettings } from '@tessera/generator';
import { llmSettings } from '@tessera/llm';
import { busUsers, defaultStreamLimits, permissionsOf, RequestState, Subjects } from '@tessera/protocol';
import {
  commonSettings,
  errorsMarkdown,
  metricsMarkdown,
  settingsMarkdown,
  spansMarkdown,
  tracingVariablesMarkdown,
} from '@tessera/service';
import { apiMarkdown, publicFiles } from './api-reference.mjs';
import { chartFiles } from './charts/chart-files.mjs';
import { clientMarkdown } from './client-reference.mjs';
import { contractMarkdown } from './contract-table.mjs';
import { modelsMarkdown } from './models-document.mjs';
import { dashboardJson } from './monitoring/dashboard.mjs';
import { monitoringMarkdown } from './monitoring/document.mjs';
import { prometheusRuleYaml, rulesTestYaml, rulesYaml } from './monitoring/rules.mjs';

const root = resolve(import.meta.dirname, '..');
const made = '<!-- Made by scripts/generate-docs.mjs from the code; do not edit. -->';

const shared = { ...commonSettings, ...natsSettings };
const own = (settings) => Object.fromEntries(Object.entries(settings).filter(([key]) => !(key in shared)));
const services = {
  encoder: encoderSettings,
  connector: connectorSettings,
  llm: llmSettings,
  generator: generatorSettings,
  gateway: gatewaySettings,
};

const states = Object.values(RequestState).filter(
  (value) => typeof value === 'number' && value !== RequestState.UNSPECIFIED,
);
const stateRows = states.map((state) => {
  const next = nextStates(state).map((each) => `\`${stateName(each)}\``);
  return `| \`${stateName(state)}\` | ${next.join(', ') || '(the end)'} |`;
});

const subjects = new Subjects('tessera', 'REVISION');
const permissionSections = busUsers.map((role) => {
  const { publish, subscribe } = permissionsOf(role, subjects, defaultStreamLimits);
  const list = (patterns) => patterns.map((pattern) => `  ${pattern}`).join('\n');
  return `## ${role}\n\nMay send to\n\n\`\`\`text\n${list(publish)}\n\`\`\`\n\nand listen on\n\n\`\`\`text\n${list(subscribe)}\n\`\`\`\n`;
});

const documents = {
  'api.md': `${made}
# API

What callers may send and get back: \`proto/tessera/v1\`, package \`tessera.v1\`, with its comments. Clients call
[ChatService](#chatservice); encoder, connector and generator answer for callers who want one stage alone, and
[LlmService](#llmservice) is for gateways. A field that is not sent has its type's zero, unless it is optional. Errors are
those of [errors.md](errors.md). Each server also answers gRPC's health and reflection services. What travels on NATS only
(\`proto/tessera/bus/v1\`) is no part of this: it changes with the version of the bus.

${apiMarkdown(publicFiles())}`,
  'client.md': `${made}
# @tessera/client

Every public symbol of the client for TypeScript, from its comments in packages/client. How they are used stands in
[its README](../packages/client/README.md) and in [examples](../examples/README.md).

${clientMarkdown()}`,
  'contract.md': `${made}
# The front door, field by field

What of \`ChatService\` is built; paths are those of \`start\`. A field that is not built is refused by its name with
UNSUPPORTED where a request sets it, and never ignored; what a built one may hold, and the error where it holds something
else, stands in [errors.md](errors.md) and in the comments of [api.md](api.md). Fields that no contract has are refused
too (REQUEST_INVALID with the field's number).

${contractMarkdown(publicFiles())}`,
  'permissions.md': `${made}
# Permissions on NATS

Give each service a user of its own, allowed what stands here and nothing else: then a stage that is taken over can neither
do another's jobs nor hear what is meant for it. The lists are those of \`nats.prefix\` tessera and one stream of each kind
(\`nats.shards\`); REVISION is the model's, which \`Describe\` tells and each queue is named by. During a rollout allow both
revisions. Every process makes the streams that it needs, so all of them may; the gateway also removes the queues of
revisions that are no longer served. The user \`streams\` is that of \`tessera streams apply\`, which makes them before
anything scales on them.

${permissionSections.join('\n')}`,
  'errors.md': `${made}
# Errors

Every failure has one code. On gRPC it is the \`reason\` of a \`google.rpc.ErrorInfo\` detail of domain \`tessera\`, beside
the status below; what may be tried again carries \`google.rpc.RetryInfo\` where a delay is known. On NATS a failed job
publishes the code in the place of what it would have made.

The field that is wrong stands in a \`google.rpc.BadRequest\` detail: its path from the request's message on, as the caller
sent it, at every door. So \`start.messages[0].content\` is of Chat's first message or of Respond's only one,
\`media_part.data\` of a later message of the stream, and \`conversation.messages[0].content\` of an engine's request. Of a
field that the contract does not have, it is the path of the message that has it.

${errorsMarkdown()}
`,
  'metrics.md': `${made}
# Metrics

Each service serves these in Prometheus' text format at \`/metrics\` of its metrics port, beside \`/healthz\` (the process
lives) and \`/readyz\` (it takes work: NATS is connected, the streams are there, the model is loaded, the engine's thread
lives; while one of these is missing the answer is 503 and its body names it). Node's own process metrics are there too,
with the prefix \`tessera_\`.

${metricsMarkdown()}
`,
  'traces.md': `${made}
# Traces

Every request is one trace over all services: its context rides in the \`traceparent\` header (W3C) of gRPC calls and of the
jobs on NATS, and its id stands in every log line as \`trace_id\`. A client's own trace goes on. Spans are exported by
OpenTelemetry's protocol where OpenTelemetry's own variables, which every service reads, name a collector:

${tracingVariablesMarkdown()}

Spans wait in a bounded queue and leave in batches. A collector that is away, slow or full costs spans, which
\`tessera_spans_total\` counts, and never holds up a request; at the end of a drain the spans that wait have
\`traces.flushMs\`. A service that exports nothing passes the trace on as it came.

${spansMarkdown()}

The resource of each has \`service.name\` (\`tessera-encoder\` and so on), \`service.namespace\` (\`tessera\`),
\`service.version\`, \`service.instance.id\` and \`tessera.service\`, the service's own name whatever the variables say.
A span that failed has \`error.type\`: the code of errors.md, or, of a server span, the gRPC status.
`,
  'configuration.md': `${made}
# Configuration

A setting has one name, in three spellings: a key of the YAML file that \`--config\` or \`TESSERA_CONFIG\` names, an
environment variable, and a flag. Flags win over the environment, the environment over the file, the file over the
defaults. A key, variable or flag that is nearly a setting's name is refused.

## Every service

${settingsMarkdown(shared)}
${Object.entries(services)
  .filter(([, settings]) => Object.keys(own(settings)).length > 0)
  .map(([name, settings]) => `\n## ${name}\n\n${settingsMarkdown(own(settings))}\n`)
  .join('')}`,
  'requests.md': `${made}
# The states of a request

The gateway keeps one state machine a request. Each change is an event of the client's stream (\`state_changed\`), a span
of the time line in \`finished\`, and a count in \`tessera_gateway_transitions_total\`.

| State | May go to |
|---|---|
${stateRows.join('\n')}

- \`receiving\`: the media parts of the conversation come in; headers are checked, nothing is decoded.
- \`queued\`: an engine is being picked. A request comes back here when its engine dies, and the next one goes on after the
  tokens already delivered; or when NATS lost the job of its drawing, which an engine then queues again.
- \`prefilling\`: the engine has admitted the sequence. At the same time encoder and connector make its visual tokens
  (\`segment_arrived\` for each of its segments), and the engine prefills what is there, in order.
- \`decoding\`: text streams.
- \`generating\`: the text is complete, and a drawing is not.
- \`done\`, \`failed\`, \`cancelled\`: the end. A failed or cancelled request is cancelled in every stage, its messages are
  thrown away, and its slots are freed at the next step.

A state does not say whether anybody is there to do what is to be done. Where a stage has no replica, since it is scaled to
zero, starts, or is gone, what there is for it to do waits in its queue, where an autoscaler sees it; of the llm, which has
no queue, the request waits in the gateway. The client is told by \`stages_awaited\`, which names the stages, when that
begins and at each change, until it names none; \`tessera_gateway_requests_awaiting\` counts such requests and
\`tessera_queue_attended\` says which queues have nobody. Nothing is refused because a stage starts from zero: its queue is
taken to leave as fast as it did when somebody was there. Where nobody comes, the request ends just before its deadline with
\`STAGE_UNAVAILABLE\` and the stage's name. An engine is waited for so long too where one was there within
\`engines.expectMs\`, else for \`engines.waitMs\` only: where engines are scaled from zero, or are started after the
gateway, set that to the longest deadline.

With \`choices\` the request is as far as the furthest of those that are still written, \`generating\` when all texts are
complete and a drawing is not, and \`done\` with the last.
`,
};

const files = {
  'docs/models.md': `${made}\n${await modelsMarkdown()}`,
  'docs/monitoring.md': `${made}\n${monitoringMarkdown()}`,
  'deploy/monitoring/alerts.yaml': rulesYaml(),
  'deploy/monitoring/alerts.test.yaml': rulesTestYaml(),
  'deploy/monitoring/prometheus-rule.yaml': prometheusRuleYaml(),
  'deploy/monitoring/dashboard.json': dashboardJson(),
  ...Object.fromEntries(Object.entries(documents).map(([name, text]) => [`docs/${name}`, text])),
  ...chartFiles(services, shared),
};
const stale = Object.entries(files).filter(([path, text]) => {
  try {
    return readFileSync(join(root, path), 'utf8') !== text;
  } catch {
    return true;
  }
});
if (process.argv.includes('--check')) {
  for (const [path] of stale) console.error(`${path} is out of date; run 'npm run docs'`);
  process.exit(stale.length === 0 ? 0 : 1);
}
for (const [path, text] of stale) {
  writeFileSync(join(root, path), text);
  console.log(`${path} written`);
}
