import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectorSettings } from '@tessera/connector';
import { encoderSettings } from '@tessera/encoder';
import { gatewaySettings } from '@tessera/gateway';
import { generatorSettings } from '@tessera/generator';
import { llmSettings } from '@tessera/llm';
import { queues, spreadStreams } from '@tessera/protocol';
import { declaredMetrics, describeSettings } from '@tessera/service';
import { root } from '@tessera/testing/repository';
import { beforeAll, expect, test } from 'vitest';
// @ts-expect-error The scripts have no types.
import * as tools from '../../scripts/kubernetes-tools.mjs';
import { documents } from '../support/documents.js';

const run = promisify(execFile);
const { kubernetesTool }: { kubernetesTool(name: string): Promise<string> } = tools;
const settings = [encoderSettings, connectorSettings, llmSettings, generatorSettings, gatewaySettings].flatMap(
  describeSettings,
);

/** All but the one that tells of names that are no longer there, and the one whose names are fields. */
const ofToday = [...documents].filter(([path]) => path !== 'CHANGELOG.md' && path !== 'docs/contract.md');

/** Each match of the pattern's group in any document, with where it stands, that `exists` does not know. */
function unknown(pattern: RegExp, exists: (name: string) => boolean): string[] {
  return ofToday.flatMap(([path, text]) =>
    [...text.matchAll(pattern)].flatMap(([, name = '']) => (exists(name) ? [] : [`${path}: ${name}`])),
  );
}

const flagsIn = (help: string): string[] => [...help.matchAll(/--[a-z][a-z-]*/g)].map(([flag]) => flag);

/** Variables that the scripts of deploy/ take. */
function scriptVariables(): string[] {
  return filesOf('deploy', '.sh').flatMap((text) =>
    [...text.matchAll(/\$\{(TESSERA_[A-Z_]+):/g)].map(([, name = '']) => name),
  );
}

function filesOf(folder: string, end: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(end))
    .map((path) => readFileSync(join(root, folder, path), 'utf8'));
}

interface ValuesSchema {
  readonly properties?: Readonly<Record<string, ValuesSchema>>;
}

/** The values of all charts, by their paths: `model.source`. */
function chartValues(): Set<string> {
  const paths = ({ properties = {} }: ValuesSchema, head: string): string[] =>
    Object.entries(properties).flatMap(([key, schema]) => [`${head}${key}`, ...paths(schema, `${head}${key}.`)]);
  return new Set(filesOf('deploy/charts', 'values.schema.json').flatMap((text) => paths(JSON.parse(text), '')));
}

let helpFlags: Set<string>;
/** What the command line reads of its surroundings, as its help texts say. */
let helpVariables: readonly string[];

/** Of programs that are named to operators and that nothing here asks: cosign, a builder of images, npm, the autoscaler of clusters. */
const otherFlags = [
  ...['--key', '--predicate', '--type', '--certificate-identity', '--certificate-oidc-issuer'],
  ...['--read-only', '--tmpfs', '--cap-drop', '--mount', '--network', '--platform'],
  ...['--omit', '--sbom-format'],
  '--max-graceful-termination-sec',
];

/** The names of the commands that a help text of the CLI lists. */
const commandsIn = (help: string): string[] =>
  help.includes('Commands:')
    ? [...help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z]+) /gm)]
        .map(([, name = '']) => name)
        .filter((name) => name !== 'help')
    : [];

/** What others' programs say of themselves that the documents call. */
const otherPrograms: readonly (readonly [program: string, ...words: string[]])[] = [
  ...['install', 'upgrade', 'template', 'package', 'push'].map((name) => ['helm', name, '--help'] as const),
  ...['apply', 'create secret generic', 'get', 'logs', 'port-forward', 'rollout status', 'wait', 'drain'].map(
    (words) => ['kubectl', ...words.split(' '), '--help'] as const,
  ),
  ['kubectl', 'options'],
];

beforeAll(async () => {
  const help = async (...argv: string[]): Promise<string> => (await run(process.execPath, argv, { cwd: root })).stdout;
  const tessera = async (...words: string[]): Promise<string[]> => {
    const text = await help('packages/cli/dist/main.js', ...words, '--help');
    const below = await Promise.all(commandsIn(text).map((name) => tessera(...words, name)));
    return [text, ...below.flat()];
  };
  const texts = await Promise.all([
    help('scripts/bench.mjs', '--help'),
    help('scripts/mutate.mjs', '--help'),
    help('scripts/package-charts.mjs', '--help'),
    ...otherPrograms.map(async ([program, ...words]) => (await run(await kubernetesTool(program), words)).stdout),
  ]);
  const own = await tessera();
  expect(own.length).toBeGreaterThan(6);
  helpVariables = own.flatMap((text) => [...text.matchAll(/\benv:\s+(TESSERA_[A-Z_]+)/g)].map(([, name = '']) => name));
  const healthCommand = readFileSync(join(root, 'packages/service/src/health/health-command.ts'), 'utf8');
  // Scripts say at their beginning what they take.
  helpFlags = new Set([...own, ...texts, ...filesOf('deploy/images', '.sh'), healthCommand].flatMap(flagsIn));
});

test('every flag in the documents is a setting or stands in a help text', () => {
  const known = new Set([...settings.map(({ flag }) => flag), ...helpFlags, ...otherFlags, '--config', '--help']);
  expect(unknown(/(?<![\w-])(--[a-z][a-z-]*)/g, (flag) => known.has(flag))).toEqual([]);
});

test('every variable in the documents is a setting, or one of OpenTelemetry that the exporter reads', () => {
  const known = new Set([
    ...settings.map(({ environment }) => environment),
    ...['TESSERA_CONFIG', ...helpVariables, ...scriptVariables()],
  ]);
  expect(unknown(/\b(TESSERA_[A-Z_]+)\b/g, (name) => known.has(name))).toEqual([]);
  const folder = join(root, 'node_modules/@opentelemetry');
  const libraries = ['sdk-trace-base', 'resources', 'otlp-exporter-base', 'exporter-trace-otlp-proto'];
  const sources = [
    ...libraries.map((name) => join(folder, name, 'build/src')),
    join(root, 'packages/service/src/telemetry'),
  ];
  const code = sources
    .flatMap((source) =>
      readdirSync(source, { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(js|ts)$/.test(file) && !/\.d\.ts$/.test(file) && file !== 'tracing.ts')
        .map((file) => readFileSync(join(source, file), 'utf8')),
    )
    .join('\n')
    // Names are put together there from the signal's part.
    .replaceAll(/OTEL_EXPORTER_OTLP_\$\{[^}]+\}_/g, 'OTEL_EXPORTER_OTLP_TRACES_');
  const own = readFileSync(join(root, 'packages/service/src/telemetry/tracing.ts'), 'utf8');
  const isRead = (name: string): boolean => code.includes(name) || own.includes(`env.${name}`);
  expect(unknown(/\b(OTEL_[A-Z_]+)\b/g, isRead)).toEqual([]);
});

test('every setting and every metric that the documents name in code type is there', () => {
  const keys = new Set(settings.map(({ key }) => key));
  const prefixes = new Set([...keys].filter((key) => key.includes('.')).map((key) => key.split('.')[0]));
  const values = chartValues();
  const isSetting = (name: string): boolean => keys.has(name) || values.has(name) || !prefixes.has(name.split('.')[0]);
  expect(unknown(/`([a-z]+\.[a-z][a-zA-Z]+)`/g, isSetting)).toEqual([]);
  const metrics = declaredMetrics().map(({ name }) => name);
  expect(unknown(/`(tessera_[a-z_]+)`/g, (name) => metrics.some((metric) => metric.startsWith(name)))).toEqual([]);
});

test('every name that a comment of the contract mentions is in the contract', () => {
  const folder = join(root, 'proto/tessera');
  const proto = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.proto'))
    .map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const);
  const code = proto.map(([, text]) => text.replaceAll(/\/\/.*/g, '')).join('\n');
  const names = new Set<string>([
    ...(code.match(/\w+/g) ?? []),
    ...[...queues, ...spreadStreams].map(({ place }) => place),
  ]);
  const missing = proto.flatMap(([file, text]) =>
    [...text.matchAll(/\/\/(.*)/g)].flatMap(([, comment = '']) =>
      [...comment.matchAll(/`(\w+)`|\b([a-z]+_[a-z_]+)\b/g)]
        .map(([, quoted, snake]) => quoted ?? snake ?? '')
        .filter((name) => !names.has(name))
        .map((name) => `${file}: ${name}`),
    ),
  );
  expect(missing).toEqual([]);
});
