import { z } from 'zod';
import type { Setting, Settings, SettingsSchema } from './setting.js';
import { environmentName, flagName } from './setting-names.js';

/** One line of docs/configuration.md. */
export interface SettingRow {
  readonly key: string;
  readonly environment: string;
  readonly flag: string;
  /** Such as `integer, 0 to 65535` or `json | text`. */
  readonly type: string;
  /** Absent if the setting must be given. */
  readonly default: string | undefined;
  readonly required: boolean;
  readonly description: string;
  readonly example: string | undefined;
}

const mask = '********';

export function describeSettings(schema: SettingsSchema): SettingRow[] {
  return Object.entries(schema).map(([key, setting]) => ({
    key,
    environment: environmentName(key),
    flag: flagName(key),
    type: typeText(setting),
    default: setting.default === undefined ? undefined : setting.secret ? mask : String(setting.default),
    required: setting.default === undefined && !setting.schema.safeParse(undefined).success,
    description: setting.description,
    example: setting.example,
  }));
}

/** A Markdown table of a service's settings. */
export function settingsMarkdown(schema: SettingsSchema): string {
  const rows = describeSettings(schema).map((row) => {
    const initial = row.required
      ? '*required*'
      : row.default === undefined || row.default === ''
        ? ''
        : code(row.default);
    const example = row.example === undefined ? '' : ` For example ${code(row.example)}.`;
    return `| ${code(row.key)} | ${code(row.environment)} | ${code(row.flag)} | ${row.type.replaceAll('|', '\\|')} | ${initial} | ${row.description}${example} |`;
  });
  return ['| Setting | Environment | Flag | Type | Default | Meaning |', '|---|---|---|---|---|---|', ...rows].join(
    '\n',
  );
}

/** What `--help` prints. */
export function settingsHelp(service: string, schema: SettingsSchema): string {
  const entries = describeSettings(schema).map((row) => {
    const initial = row.required ? 'required' : row.default === undefined ? 'optional' : `default ${row.default}`;
    return `  ${row.flag} <${row.type}>\n      ${row.description} (${initial}) [${row.environment}]`;
  });
  return [
    `Usage: ${service} [--config FILE] [settings]`,
    `       ${service} health [--live] [--config FILE]`,
    '',
    `Runs the Tessera ${service}. Every setting has one name in three places; flags win over the environment, which`,
    'wins over the file (YAML, keys as below without the dashes: --grpc-port is grpc.port).',
    '',
    'health asks the one that runs with the same metrics.host and metrics.port whether it takes work, with --live whether',
    'it lives: exit status 0, or 1 and the reason.',
    '',
    '  --config <file>\n      YAML file of settings. [TESSERA_CONFIG]',
    '  --help\n      Prints this.',
    ...entries,
    '',
  ].join('\n');
}

/** The values as they may be logged: secrets are masked, also one that somebody put into a URL. */
export function maskSecrets<S extends SettingsSchema>(schema: S, values: Settings<S>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      schema[key]?.secret && value !== undefined ? mask : withoutUserInfo(value),
    ]),
  );
}

function withoutUserInfo(value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll(/\/\/[^/]*@/g, `//${mask}@`) : value;
}

/** The type and the bounds of a setting as JSON Schema (draft-07). */
export function settingJsonSchema({ schema }: Setting<unknown>): Record<string, unknown> {
  const { $schema, ...json } = z.toJSONSchema(schema, { target: 'draft-7', unrepresentable: 'any', io: 'input' });
  // JSON Schema states the safe integer range as a bound; nobody means it as one.
  if (json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum;
  if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
  return json;
}

function typeText(setting: Setting<unknown>): string {
  const json = settingJsonSchema(setting);
  if (Array.isArray(json.enum)) return json.enum.join(' | ');
  const type = String(json.type ?? 'text');
  const low = json.minimum ?? json.exclusiveMinimum;
  const high = json.maximum ?? json.exclusiveMaximum;
  if (low !== undefined && high !== undefined) return `${type}, ${low} to ${high}`;
  if (low !== undefined) return `${type}, at least ${low}`;
  if (high !== undefined) return `${type}, at most ${high}`;
  return type;
}

function code(text: string): string {
  return `\`${text}\``;
}
