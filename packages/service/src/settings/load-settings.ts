import { outsideText, TesseraError } from '@tessera/protocol';
import { parse } from 'yaml';
import { nearestName } from './nearest-name.js';
import { readFlags } from './read-flags.js';
import { readSettingsFile } from './read-settings-file.js';
import type { Setting, Settings, SettingsSchema } from './setting.js';
import { environmentName, flagName } from './setting-names.js';

const configVariable = 'TESSERA_CONFIG';

/** Kubernetes describes each Service of a namespace in variables of this form; they are nobody's typing error. */
const serviceLink = /_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?)$/;

export interface LoadOptions {
  /** What becomes of keys in the file that the schema lacks: it may be a part of what the file is for. By default refuse. */
  readonly otherKeys?: 'refuse' | 'ignore';
}

/**
 * The settings of a service: file (`--config` or TESSERA_CONFIG) < environment < flags, over the defaults.
 * Unknown keys in the file and unknown flags are refused; so is a TESSERA_ variable that nearly has a setting's name.
 * Other TESSERA_ variables may belong to another service that shares the environment.
 * @param service the service's name, for messages
 * @param argv arguments after the script's name
 * @throws TesseraError CONFIG_INVALID naming the setting and where its value came from
 */
export function loadSettings<S extends SettingsSchema>(
  service: string,
  schema: S,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  { otherKeys = 'refuse' }: LoadOptions = {},
): Settings<S> {
  const flags = readFlags(argv, schema);
  refuseMistypedVariables(service, schema, env);
  const configFile = flags.configFile ?? env[configVariable];
  const file = configFile === undefined ? new Map<string, unknown>() : readSettingsFile(configFile, schema);
  for (const key of file.keys()) {
    if (otherKeys === 'refuse' && !Object.hasOwn(schema, key))
      throw unknownKey(service, key, configFile ?? '', Object.keys(schema));
  }
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(schema)) {
    const flag = flags.values.get(key);
    const variable = env[environmentName(key)];
    if (flag !== undefined) values[key] = fromText(setting, flag, flagName(key));
    else if (variable !== undefined) values[key] = fromText(setting, variable, environmentName(key));
    else if (file.has(key)) values[key] = check(setting, file.get(key), `'${key}' in ${configFile}`);
    else values[key] = fromDefault(service, key, setting);
  }
  return values as Settings<S>;
}

/**
 * Settings from values of the program itself, over the defaults.
 * @throws TesseraError CONFIG_INVALID as loadSettings does
 */
export function settingsFrom<S extends SettingsSchema>(
  service: string,
  schema: S,
  given: Partial<Settings<S>>,
): Settings<S> {
  const values: Record<string, unknown> = {};
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(schema, key)) throw unknownKey(service, key, 'the given values', Object.keys(schema));
  }
  for (const [key, setting] of Object.entries(schema)) {
    const value = given[key];
    values[key] = value === undefined ? fromDefault(service, key, setting) : check(setting, value, `'${key}'`);
  }
  return values as Settings<S>;
}

function fromDefault(service: string, key: string, setting: Setting<unknown>): unknown {
  if (setting.default !== undefined || setting.schema.safeParse(undefined).success) return setting.default;
  throw new TesseraError(
    'CONFIG_INVALID',
    `the ${service} needs the setting '${key}' (${setting.description}) Give it as ${flagName(key)}, as ${environmentName(key)}, or in the file that --config names.`,
  );
}

/** Text is taken as it stands if the schema takes it so; else it is read as YAML, which knows numbers, booleans and lists. */
function fromText(setting: Setting<unknown>, text: string, source: string): unknown {
  const asText = setting.schema.safeParse(text);
  if (asText.success) return asText.data;
  let value: unknown = text;
  try {
    value = parse(text, { maxAliasCount: 0 });
  } catch {
    // Not YAML either: the check below says what was expected.
  }
  return check(setting, value, source);
}

function check(setting: Setting<unknown>, value: unknown, source: string): unknown {
  const result = setting.schema.safeParse(value);
  if (result.success) return result.data;
  const shown = setting.secret ? '' : ` (it is ${outsideText(JSON.stringify(value) ?? 'nothing', 100)})`;
  const problem = result.error.issues.map((issue) => issue.message).join('; ');
  throw new TesseraError('CONFIG_INVALID', `${source} is not valid${shown}: ${problem}`);
}

function unknownKey(service: string, key: string, source: string, known: readonly string[]): TesseraError {
  const nearest = nearestName(key, known);
  const hint = nearest === undefined ? '--help lists them all' : `did you mean '${nearest}'?`;
  return new TesseraError('CONFIG_INVALID', `the ${service} has no setting '${key}' (in ${source}); ${hint}`);
}

function refuseMistypedVariables(
  service: string,
  schema: SettingsSchema,
  env: Readonly<Record<string, string | undefined>>,
): void {
  const known = new Set([configVariable, ...Object.keys(schema).map(environmentName)]);
  for (const name of Object.keys(env)) {
    if (!name.startsWith('TESSERA_') || known.has(name) || serviceLink.test(name)) continue;
    const nearest = nearestName(
      name.slice('TESSERA_'.length),
      [...known].map((each) => each.slice('TESSERA_'.length)),
    );
    if (nearest !== undefined) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `the ${service} has no setting ${name} (in the environment); did you mean TESSERA_${nearest}?`,
      );
    }
  }
}
