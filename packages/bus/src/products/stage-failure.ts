import {
  type DeclaredProduct,
  type ErrorCode,
  errorTable,
  Failure,
  isErrorCode,
  type ProductPlace,
  queues,
} from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';
import type { BusConnection } from '../connection/bus-connection.js';
import { messageOf } from '../connection/bus-connection.js';

/** A stage's word that a product will not come. */
export interface StageFailure {
  readonly kind: 'failure';
  /** The media item, or the drawing. */
  readonly item: number;
  /** The tile; of a job that spans several, the first. */
  readonly tile: number;
  /** Whether it is that tile alone that will not come, or the item. */
  readonly of: 'tile' | 'item';
  readonly attempt: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly stage: string;
}

/** Whether another try could end better: then the failure of an old attempt says nothing about a newer one. */
export function mayImprove({ code }: Pick<StageFailure, 'code'>): boolean {
  return errorTable[code].retryable || code === 'DELIVERY_EXHAUSTED';
}

/** Reads a failure; undefined, and logged, when it is corrupt. */
export function readFailure(
  connection: BusConnection,
  product: DeclaredProduct,
  at: ProductPlace,
  payload: Uint8Array,
): StageFailure | undefined {
  const { requestId, item, tile } = at;
  try {
    const failure = Failure.decode(payload);
    const { key, code, message, stage } = failure;
    if (key === undefined || key.requestId !== requestId || key.item !== item) throw new Error('of another key');
    if (hasUnknownFields(failure)) connection.observer.unknownFields?.('failures');
    const known = isErrorCode(code) ? code : 'INTERNAL';
    const of = queues.some(({ worker, spansTiles }) => worker === stage && spansTiles) ? 'item' : 'tile';
    return { kind: 'failure', item, tile, of, attempt: key.attempt, code: known, message, stage };
  } catch (reason) {
    connection.log.warn({ requestId, item, tile, error: messageOf(reason) }, 'a corrupt failure message was dropped');
    connection.observer.dropped?.(product.name, 'corrupt');
    return undefined;
  }
}
