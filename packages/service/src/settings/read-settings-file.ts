import { readFileSync } from 'node:fs';
import { TesseraError } from '@tessera/protocol';
import { parse } from 'yaml';
import type { SettingsSchema } from './setting.js';

/** Far more than all settings of a service need. */
const maxFileBytes = 1024 * 1024;

/**
 * Reads a YAML file of settings, nested (`grpc: { port: 1 }`) or dotted (`grpc.port: 1`), into flat keys.
 * Keys that the schema does not have are returned too: the caller refuses them.
 * @throws TesseraError CONFIG_INVALID if the file cannot be read, is not YAML, or names a setting twice
 */
export function readSettingsFile(path: string, schema: SettingsSchema): Map<string, unknown> {
  const found = new Map<string, unknown>();
  flatten(parseFile(path), '', schema, found, path);
  return found;
}

function parseFile(path: string): unknown {
  try {
    const text = readFileSync(path);
    if (text.byteLength > maxFileBytes) throw new Error(`it has ${text.byteLength} bytes, more than ${maxFileBytes}`);
    return parse(text.toString('utf8'), { maxAliasCount: 100 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TesseraError('CONFIG_INVALID', `the settings file ${path} cannot be read: ${reason}`, { cause });
  }
}

function flatten(
  node: unknown,
  prefix: string,
  schema: SettingsSchema,
  found: Map<string, unknown>,
  path: string,
): void {
  if (node === null || node === undefined) return;
  if (typeof node !== 'object' || Array.isArray(node)) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `${path}: ${prefix === '' ? 'the file' : `'${prefix}'`} must be a map of settings`,
    );
  }
  for (const [name, value] of Object.entries(node)) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    const isGroup = Object.keys(schema).some((known) => known.startsWith(`${key}.`));
    if (isGroup && !Object.hasOwn(schema, key)) {
      flatten(value, key, schema, found, path);
    } else if (found.has(key)) {
      throw new TesseraError('CONFIG_INVALID', `${path}: the setting '${key}' is given twice`);
    } else {
      found.set(key, value);
    }
  }
}
