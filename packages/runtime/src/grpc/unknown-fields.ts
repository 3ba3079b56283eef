import { TesseraError } from '@tessera/protocol';

/** Deeper than any message of the contract; a bound for the walk all the same. */
const maxDepth = 32;

/**
 * Refuses a decoded request that carries fields the contract does not have: a caller's typing error or a newer
 * version, either of which would be ignored silently. Walks nested messages, lists, maps and oneofs.
 * @param name what the message is called in the error, such as `ChatRequest`
 * @throws TesseraError REQUEST_INVALID naming the field's number and the message's path
 */
export function refuseUnknownFields(message: unknown, name: string): void {
  walk(message, name, 0);
}

function walk(node: unknown, path: string, depth: number): void {
  if (typeof node !== 'object' || node === null || ArrayBuffer.isView(node)) return;
  if (depth > maxDepth) {
    throw new TesseraError('REQUEST_INVALID', `${path} is nested deeper than ${maxDepth} levels`, { field: path });
  }
  if (Array.isArray(node)) {
    for (let index = 0; index < node.length; index++) walk(node[index], `${path}[${index}]`, depth + 1);
    return;
  }
  for (const [key, value] of Object.entries(node)) {
    if (key === '_unknownFields') refuse(value, path);
    // A oneof is { $case: 'name', name: value }: its own name is not part of the path.
    else if (key !== '$case') walk(value, `${path}.${key}`, depth + 1);
  }
}

function refuse(unknownFields: unknown, path: string): void {
  // ts-proto files unknown fields under their wire tag: field number and wire type.
  const [tag] = Object.keys(unknownFields ?? {});
  if (tag === undefined) return;
  const number = Number(tag) >>> 3;
  throw new TesseraError('REQUEST_INVALID', `${path} has no field number ${number}; take it out of the message`, {
    field: path,
  });
}
