import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as protocol from '@tessera/protocol';

/** A message as an earlier release wrote it, and what it meant. */
export interface RecordedMessage {
  readonly release: string;
  readonly message: string;
  readonly bytes: Buffer;
  /** As JSON, see `plain`. */
  readonly value: object;
}

interface Codec {
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}

const folder = resolve(import.meta.dirname, '../upgrade');
const namePattern = /^messages-(.+)\.json$/;

/** Every message that scripts/record-messages.mjs recorded, of every release. */
export function recordedMessages(): RecordedMessage[] {
  return readdirSync(folder).flatMap((name) => {
    const release = namePattern.exec(name)?.[1];
    if (release === undefined) return [];
    const messages = JSON.parse(readFileSync(resolve(folder, name), 'utf8')) as (Omit<RecordedMessage, 'bytes'> & {
      bytes: string;
    })[];
    return messages.map((each) => ({ ...each, release, bytes: Buffer.from(each.bytes, 'base64') }));
  });
}

/** This release's code for a message of the contract. */
export function codecOf(message: string): Codec {
  return (protocol as unknown as Record<string, Codec>)[message] as Codec;
}

/** A message as the recording holds it: 64-bit numbers and bytes as JSON can, and nothing where nothing is unknown. */
export function plain(message: object): object {
  const replacer = (key: string, value: unknown) =>
    key === '_unknownFields' && Object.keys(value as object).length === 0
      ? undefined
      : typeof value === 'bigint'
        ? `${value}n`
        : value;
  return JSON.parse(JSON.stringify(message, replacer));
}

/** The same message as a newer release might write it: every message in it, at every depth, has a field number 99. */
export function withAddedFields(message: string, bytes: Uint8Array): Buffer {
  const codec = codecOf(message);
  const decoded = codec.decode(bytes);
  add(decoded);
  return Buffer.from(codec.encode(decoded).finish());
}

/** Tag 99 << 3 | 2, one byte long. */
const field99 = { 794: [Uint8Array.of(1, 0x61)] };

function add(node: unknown): void {
  if (typeof node !== 'object' || node === null || ArrayBuffer.isView(node)) return;
  for (const value of Object.values(node)) add(value);
  // Neither a oneof's { $case, value } nor a map is a message.
  if ('_unknownFields' in node) Object.assign(node, { _unknownFields: field99 });
}
