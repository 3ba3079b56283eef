import { TesseraError } from '@tessera/protocol';
import { counterMetric } from './telemetry/metric.js';

export const unknownFieldsTotal = counterMetric('tessera_unknown_fields_total', {
  unit: 'count',
  help: 'Messages with fields that this release does not know: a newer one sent them. What is known of them was used.',
  labels: ['message'],
  from: 'every service',
});

/** Deeper than any message of the contract; a bound for the walk all the same. */
const maxDepth = 32;

/**
 * Refuses a decoded message that carries fields the contract does not have: a caller's typing error, which would be
 * ignored silently. Walks nested messages, lists, maps and oneofs.
 * @param name what the message is called in the error, such as `the request`
 * @throws TesseraError REQUEST_INVALID naming the field's number and the message's path
 */
export function refuseUnknownFields(message: unknown, name: string): void {
  const found = findUnknownField(message, '', 0);
  if (found === undefined) return;
  const { path, number } = found;
  const where = path === '' ? name : `${path} in ${name}`;
  throw new TesseraError('REQUEST_INVALID', `${where} has no field number ${number}; take it out of the message`, {
    ...(path === '' ? {} : { field: path }),
  });
}

/** Whether a decoded message carries fields that this release's contract does not have, at any depth. */
export function hasUnknownFields(message: unknown): boolean {
  return carriesUnknown(message, 0);
}

/** As `findUnknownField`, without a path: most messages have none, and those of a stream come by the thousand. */
function carriesUnknown(node: unknown, depth: number): boolean {
  if (typeof node !== 'object' || node === null || ArrayBuffer.isView(node)) return false;
  if (depth > 2 * maxDepth) return findUnknownField(node, '', 0) !== undefined;
  if (Array.isArray(node)) {
    return typeof node[0] === 'object' && node.some((each) => carriesUnknown(each, depth + 1));
  }
  for (const key in node) {
    if (key === '_unknownFields') {
      if (firstNumber(node[key as never], '') !== undefined) return true;
    } else if (carriesUnknown(node[key as never], depth + 1)) {
      return true;
    }
  }
  return false;
}

interface UnknownField {
  /** Of the message that has it, such as `start.messages[0]`; empty for the whole. */
  readonly path: string;
  readonly number: number;
}

function findUnknownField(node: unknown, path: string, depth: number): UnknownField | undefined {
  if (typeof node !== 'object' || node === null || ArrayBuffer.isView(node)) return undefined;
  if (depth > maxDepth) {
    throw new TesseraError('REQUEST_INVALID', `${path} is nested deeper than ${maxDepth} levels`, { field: path });
  }
  if (Array.isArray(node)) {
    for (let index = 0; index < node.length; index++) {
      const found = findUnknownField(node[index], `${path}[${index}]`, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  for (const [key, value] of Object.entries(node)) {
    const found =
      key === '_unknownFields'
        ? firstNumber(value, path)
        : findUnknownField(...nodeAt(key, value, path === '' ? '' : `${path}.`), depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A property's value and its path in the contract's names. A oneof is { $case, value }: the case is the field's name. */
function nodeAt(key: string, value: unknown, prefix: string): [node: unknown, path: string] {
  const oneof = value as { $case?: unknown; value?: unknown } | null | undefined;
  return typeof oneof === 'object' && typeof oneof?.$case === 'string'
    ? [oneof.value, `${prefix}${snakeCase(oneof.$case)}`]
    : [value, `${prefix}${snakeCase(key)}`];
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** ts-proto files unknown fields under their wire tag: field number and wire type. */
function firstNumber(unknownFields: unknown, path: string): UnknownField | undefined {
  const [tag] = Object.keys(unknownFields ?? {});
  return tag === undefined ? undefined : { path, number: Number(tag) >>> 3 };
}
