import { type EncodableType, MessageEncoder } from '@tessera/protocol';
import type { CompatServiceDefinition } from 'nice-grpc';
import { fullName, type GrpcService } from './grpc-service.js';
import { openStreamOf, type ServedExchange } from './serve-exchange.js';
import type { OnUnknownFields } from './watch-fields.js';

/** A method, as ts-proto describes it. */
interface Method {
  readonly name: string;
  readonly responseType: EncodableType<unknown>;
}

/** A service's methods whose handlers `exchange` made, by their keys in the definition. */
function exchangeMethods({ definition, implementation }: GrpcService): (readonly [key: string, method: Method])[] {
  if (!('methods' in definition)) return [];
  const methods = Object.entries(definition.methods as Readonly<Record<string, Method>>);
  const handlers = implementation as Readonly<Record<string, unknown>>;
  return methods.filter(([key]) => openStreamOf(handlers[key]) !== undefined);
}

/** What serves them, by their paths. */
export function exchangesOf(
  service: GrpcService,
  onUnknownFields: OnUnknownFields,
): (readonly [path: string, exchange: ServedExchange])[] {
  const handlers = service.implementation as Readonly<Record<string, unknown>>;
  return exchangeMethods(service).flatMap(([key, { name }]) => {
    const open = openStreamOf(handlers[key]);
    return open === undefined ? [] : [[`/${fullName(service)}/${name}`, { open, onUnknownFields }] as const];
  });
}

/**
 * The service's definition, in which the answers of exchanges are encoded as they are, into memory that is kept: nice-grpc
 * first makes a deep copy of each message.
 */
export function withKeptEncoders(service: GrpcService): CompatServiceDefinition {
  const { definition } = service;
  const kept = exchangeMethods(service).map(([key, method]) => {
    const encoder = new MessageEncoder(method.responseType);
    // nice-grpc makes a Buffer of what comes: of an ArrayBuffer a view, of anything else a copy.
    const encode = (message: unknown) => ({ finish: () => encoder.encode(message).buffer });
    return [key, { ...method, responseType: { ...method.responseType, encode, fromPartial: undefined } }] as const;
  });
  if (kept.length === 0) return definition;
  const { methods } = definition as { readonly methods: object };
  return { ...definition, methods: { ...methods, ...Object.fromEntries(kept) } } as unknown as CompatServiceDefinition;
}
