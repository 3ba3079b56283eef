import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

type Value = string | boolean | number | Value[];

/** A span as it arrived. */
export interface ReceivedSpan {
  readonly resource: Readonly<Record<string, Value>>;
  readonly name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly events: readonly string[];
  /** 0 unset, 1 OK, 2 error. */
  readonly status: number;
}

/** A collector: takes OTLP over HTTP as protobuf, reads it by the numbers of its published contract, and keeps the spans. */
export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  private readonly server = createServer((request, response) => {
    this.headers.push(request.headers);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (this.isHanging) return;
      const right = request.url === '/v1/traces' && request.headers['content-type'] === 'application/x-protobuf';
      const body = Buffer.concat(chunks);
      if (right)
        this.spans.push(...readExport(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body));
      response.writeHead(right ? 200 : 404, { 'content-type': 'application/x-protobuf' }).end();
    });
  });

  private constructor(private readonly isHanging: boolean) {}

  /** @param isHanging takes every export and answers none */
  static async start({ isHanging = false } = {}): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver(isHanging);
    receiver.server.listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
  }
}

type Fields = Map<number, (Uint8Array | bigint | number)[]>;

/** A message as its fields by number, each as the wire has it. */
function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const value =
      type === WireType.Varint
        ? BigInt(reader.int64())
        : type === WireType.Bit64
          ? BigInt(reader.fixed64())
          : type === WireType.Bit32
            ? reader.fixed32()
            : reader.bytes();
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

const messages = (fields: Fields, number: number): Fields[] =>
  (fields.get(number) ?? []).map((bytes) => fieldsOf(bytes as Uint8Array));
const text = (fields: Fields, number: number): string =>
  Buffer.from((fields.get(number)?.[0] as Uint8Array | undefined) ?? []).toString('utf8');
const hex = (fields: Fields, number: number): string =>
  Buffer.from((fields.get(number)?.[0] as Uint8Array | undefined) ?? []).toString('hex');
const integer = (fields: Fields, number: number): number => Number(fields.get(number)?.[0] ?? 0);
const milliseconds = (fields: Fields, number: number): number => integer(fields, number) / 1e6;

function readValue(any: Fields): Value {
  if (any.has(1)) return text(any, 1);
  if (any.has(2)) return integer(any, 2) === 1;
  if (any.has(3)) return integer(any, 3);
  if (any.has(4)) {
    const bits = Buffer.alloc(8);
    bits.writeBigUInt64LE(any.get(4)?.[0] as bigint);
    return bits.readDoubleLE();
  }
  return messages(any, 5).flatMap((list) => messages(list, 1).map(readValue));
}

function attributesOf(fields: Fields, number: number): Record<string, Value> {
  const pairs = messages(fields, number).map((pair) => [text(pair, 1), readValue(messages(pair, 2)[0] ?? new Map())]);
  return Object.fromEntries(pairs);
}

function readExport(bytes: Uint8Array): ReceivedSpan[] {
  return messages(fieldsOf(bytes), 1).flatMap((ofResource) => {
    const resource = messages(ofResource, 1).map((fields) => attributesOf(fields, 1))[0] ?? {};
    return messages(ofResource, 2).flatMap((ofScope) =>
      messages(ofScope, 2).map((span) => ({
        resource,
        traceId: hex(span, 1),
        spanId: hex(span, 2),
        parentSpanId: hex(span, 4),
        name: text(span, 5),
        kind: integer(span, 6),
        startMs: milliseconds(span, 7),
        endMs: milliseconds(span, 8),
        attributes: attributesOf(span, 9),
        events: messages(span, 11).map((event) => text(event, 2)),
        status: integer(messages(span, 15)[0] ?? new Map(), 3),
      })),
    );
  });
}
