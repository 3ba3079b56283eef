import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { defaultStreamLimits, queues, Subjects, spreadStreams, totalStreamBytes } from '@tessera/protocol';
import { chartVersions } from './chart-versions.mjs';
import { configComment, configSchema } from './config-schema.mjs';
import { commonSettings, ownedSettings } from './owned-settings.mjs';
import { closed, flag, map } from './schema-words.mjs';
import { stageCharts } from './stage-charts.mjs';
import { umbrellaSchema } from './umbrella-schema.mjs';

const charts = resolve(import.meta.dirname, '../../deploy/charts');
const read = (...path) => readFileSync(join(charts, ...path), 'utf8');

/**
 * The files of the charts that are made from the code and from deploy/charts/blocks, by their paths from the repository's root:
 * each chart's version, the schema of each stage's values, the parts of its values.yaml between the marks, and what templates
 * know of the code.
 * @param services table of settings of each service
 * @param shared settings that every service has
 */
export function chartFiles(services, shared) {
  const files = { 'deploy/charts/library/templates/_settings.tpl': settingsTemplate(services, shared) };
  for (const [stage, chart] of Object.entries(stageCharts)) {
    const settings = services[stage];
    files[`deploy/charts/${stage}/values.schema.json`] = schemaText(
      `Values of tessera-${stage}`,
      stageSchema(stage, chart, settings),
    );
    files[`deploy/charts/${stage}/values.yaml`] = stageValues(stage, chart, settings, shared);
  }
  const { version } = JSON.parse(readFileSync(join(charts, '../../package.json'), 'utf8'));
  for (const [name, text] of Object.entries(chartVersions(charts, version))) {
    files[`deploy/charts/${name}/Chart.yaml`] = text;
  }
  const umbrella = umbrellaSchema(configSchema(shared, commonSettings));
  files['deploy/charts/tessera/values.schema.json'] = schemaText('Values of tessera', umbrella);
  // Each of them is explained here, and in the charts of the stages none.
  files['deploy/charts/tessera/values.yaml'] = withBlocks('tessera', () => configComment(shared, commonSettings, {}));
  return files;
}

function schemaText(title, schema) {
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', title, ...schema }, null, 2)}\n`;
}

function stageSchema(stage, { properties }, settings) {
  return closed(`Values of the chart of Tessera's ${stage}.`, {
    ...properties,
    config: configSchema(settings, ownedSettings[stage]),
    resources: map('Of the container.'),
    enabled: flag('Whether the umbrella chart has this stage.'),
    // Helm gives each chart the values for all, and an empty map for each chart it depends on.
    global: map('Values for all stages: nats, model, image, tls, config.'),
    'tessera-library': map('Nothing: the library has no values.'),
  });
}

function stageValues(stage, { variables }, settings, shared) {
  return withBlocks(stage, (name) =>
    name === 'config'
      ? configComment(settings, ownedSettings[stage], shared)
      : block(name, { service: stage, ...variables }).split('\n'),
  );
}

/** values.yaml as it is, with what stands between `# >>> NAME` and `# <<<` made anew, as deep as these stand. */
function withBlocks(chart, linesOf) {
  return read(chart, 'values.yaml').replaceAll(
    /^( *)# >>> (\S+).*\n(?:(?! *# <<<$).*\n)* *# <<<$/gm,
    (_, indent, name) => {
      const lines = [`# >>> ${name} (made by npm run docs)`, ...linesOf(name), '# <<<'];
      return lines.map((line) => (line === '' ? '' : `${indent}${line}`)).join('\n');
    },
  );
}

function block(name, variables) {
  return read('blocks', `${name}.yaml`)
    .trimEnd()
    .replaceAll(/\{\{(\w+)\}\}/g, (_, variable) => {
      if (!(variable in variables))
        throw new Error(`blocks/${name}.yaml has {{${variable}}}, which this chart has not`);
      return String(variables[variable]);
    });
}

function settingsTemplate(services, shared) {
  const defaults = defaultsOf(shared);
  const own = Object.entries(services).map(([service, settings]) => {
    const others = Object.entries(settings).filter(([key]) => !(key in shared));
    return ofService(service, defaultsOf(Object.fromEntries(others)));
  });
  const subjects = new Subjects('PREFIX', 'REVISION');
  const names = Object.fromEntries(
    queues.map((queue) => [queue.name, { stream: subjects.queue(queue), consumer: subjects.workers }]),
  );
  const streams = JSON.stringify(names, null, 2)
    .replaceAll('PREFIX', '{{ .prefix }}')
    .replaceAll('REVISION', '{{ .revision }}');
  const owned = Object.entries(ownedSettings).map(([service, settings]) => ofService(service, settings));
  return `{{/* Made by scripts/generate-docs.mjs from the code; do not edit. */}}

{{/* Defaults of the settings that every service has, as texts. */}}
{{- define "tessera.defaults" -}}
${JSON.stringify(defaults, null, 2)}
{{- end -}}

{{/* The same of the settings that .service has for itself. */}}
{{- define "tessera.serviceDefaults" -}}
${own.join('\n')}
{{- end -}}

{{/* What NATS must have room for: the settings that say so for each revision and for all, and the bytes of what is always there. */}}
{{- define "tessera.streamBytes" -}}
${JSON.stringify(streamBytes(), null, 2)}
{{- end -}}

{{/* The stream and the consumer of each queue: (dict "prefix" ... "revision" ...). */}}
{{- define "tessera.queues" -}}
${streams}
{{- end -}}

{{/* Settings of .service that a chart gives itself, with where the operator says it instead. */}}
{{- define "tessera.ownedSettings" -}}
${owned.join('\n')}
{{- end -}}
`;
}

function defaultsOf(settings) {
  return Object.fromEntries(
    Object.entries(settings)
      .filter(([, setting]) => setting.default !== undefined)
      .map(([key, setting]) => [key, String(setting.default)]),
  );
}

function ofService(service, value) {
  return `{{- if eq .service "${service}" -}}\n${JSON.stringify(value, null, 2)}\n{{- end -}}`;
}

/** As totalStreamBytes adds up. */
function streamBytes() {
  const nothing = Object.fromEntries([...queues, ...spreadStreams].map(({ name }) => [name, 0]));
  const key = ({ name }) => `nats.${name.replaceAll(/_([a-z])/g, (_, letter) => letter.toUpperCase())}Bytes`;
  return {
    eachRevision: queues.map(key),
    shared: spreadStreams.map(key),
    always: totalStreamBytes({ ...defaultStreamLimits, maxBytes: nothing }),
  };
}
