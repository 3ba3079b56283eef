import { TesseraError } from '@tessera/protocol';
import { nearestName } from './nearest-name.js';
import type { SettingsSchema } from './setting.js';
import { flagName } from './setting-names.js';

export interface Flags {
  /** Values by setting key, as written. */
  readonly values: ReadonlyMap<string, string>;
  /** What `--config` names. */
  readonly configFile: string | undefined;
}

/**
 * Reads `--name value` and `--name=value`; a flag of a boolean setting may stand alone.
 * @throws TesseraError CONFIG_INVALID on an unknown flag, a flag without its value, or one given twice
 */
export function readFlags(argv: readonly string[], schema: SettingsSchema): Flags {
  const keyOfFlag = new Map(Object.keys(schema).map((key) => [flagName(key), key]));
  const values = new Map<string, string>();
  let configFile: string | undefined;
  for (let at = 0; at < argv.length; at++) {
    const [flag, inline] = splitOnce(argv[at] ?? '');
    const key = keyOfFlag.get(flag);
    if (key === undefined && flag !== '--config') throw unknownFlag(flag, keyOfFlag.keys());
    const next = argv[at + 1];
    let value: string;
    if (inline !== undefined) {
      value = inline;
    } else if (next !== undefined && !next.startsWith('--')) {
      value = next;
      at++;
    } else if (key !== undefined && schema[key]?.schema.safeParse(true).success) {
      value = 'true';
    } else {
      throw new TesseraError('CONFIG_INVALID', `${flag} needs a value`);
    }
    if (key === undefined ? configFile !== undefined : values.has(key)) {
      throw new TesseraError('CONFIG_INVALID', `${flag} is given twice`);
    }
    if (key === undefined) configFile = value;
    else values.set(key, value);
  }
  return { values, configFile };
}

function splitOnce(argument: string): [string, string | undefined] {
  const equals = argument.indexOf('=');
  return argument.startsWith('--') && equals > 0
    ? [argument.slice(0, equals), argument.slice(equals + 1)]
    : [argument, undefined];
}

function unknownFlag(flag: string, known: Iterable<string>): TesseraError {
  if (!flag.startsWith('--')) {
    return new TesseraError('CONFIG_INVALID', `'${flag}' is not a flag; --help lists them all`);
  }
  const nearest = nearestName(flag, ['--config', '--help', ...known]);
  const hint = nearest === undefined ? '--help lists them all' : `did you mean ${nearest}?`;
  return new TesseraError('CONFIG_INVALID', `there is no flag ${flag}; ${hint}`);
}
