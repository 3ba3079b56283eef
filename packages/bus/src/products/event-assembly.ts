import type { EventProduct, ProductEvent, ProductKind } from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';
import { type Assembly, drop } from './assembly.js';
import { EventOrder } from './event-order.js';

/** Puts the events of each request in order. */
export function eventAssemblies<Event extends ProductEvent>(
  connection: BusConnection,
  { name, message }: EventProduct<Event, ProductKind>,
): () => Assembly<Event> {
  return () => {
    const order = new EventOrder<Event>();
    return {
      add(at, payload) {
        let event: Event;
        try {
          event = message.decode(payload);
        } catch (reason) {
          drop(connection, name, at, { why: 'corrupt', detail: messageOf(reason) });
          return [];
        }
        const { key, sequence } = event;
        if (key === undefined || key.requestId !== at.requestId || key.item !== at.item || sequence !== at.part) {
          drop(connection, name, at, { why: 'corrupt', detail: 'the event is not what its subject says' });
          return [];
        }
        if (hasUnknownFields(event)) connection.observer.unknownFields?.(name);
        const { ready, dropped } = order.add(key.attempt, key.item, event, payload.length);
        if (dropped !== undefined) drop(connection, name, at, { why: dropped });
        return ready;
      },
      has: () => false,
      close: () => {},
    };
  };
}
