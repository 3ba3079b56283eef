import { type JobKey, type StageWork, VisualTokenRows } from '../messages.js';
import type { Float32Tensor } from '../tensor.js';
import { encodeTensor } from '../tensor-message.js';
import { checkTensorBytes, splitRows } from '../tensor-rows.js';
import type { BusRole } from './roles.js';
import type { MessageCodec, SpreadDeclaration } from './stream-declaration.js';

/** What everything that is sent to a waiting process says of itself. */
export interface ProductContent {
  readonly key: JobKey | undefined;
}

/** One message of a product. */
interface ProductPiece {
  readonly tile: number;
  /** Which message of its tile, or item, it is, counted from 0. */
  readonly part: number;
  readonly payload: Uint8Array;
}

interface PieceLimits {
  readonly partBytes: number;
  /** The most bytes of one tensor, as float16. */
  readonly maxTensorBytes: number;
}

/** What stages make for one process that waits for it: sent to its address, and gone when it is received. */
export interface Product<Content extends ProductContent, Name extends string = string> extends SpreadDeclaration<Name> {
  /** The service whose processes receive it. */
  readonly consumer: BusRole;
  /**
   * The messages that carry the content.
   * @throws TesseraError MESSAGE_TOO_LARGE
   */
  pieces(content: Content, limits: PieceLimits): Iterable<ProductPiece>;
}

/** A tensor of one tile on its way. */
export interface TileTensor extends ProductContent {
  readonly tile: number;
  /** [rows, ...]. */
  readonly tensor: Float32Tensor;
  /** What the stages measured so far. */
  readonly timings: StageWork[];
}

/** A tensor for each tile, as float16, cut by rows: the first attempt whose parts are all there is the tile's. */
export interface TensorProduct<Name extends string = string> extends Product<TileTensor, Name> {
  readonly delivery: 'tensor';
}

/** What every message of an `EventProduct` has. */
export interface ProductEvent extends ProductContent {
  /** Which of its item's events this is, counted from 0 in each attempt. */
  readonly sequence: number;
}

/** Events of an item, in order and each once: those of the newest attempt. */
export interface EventProduct<Event extends ProductEvent, Name extends string = string> extends Product<Event, Name> {
  readonly delivery: 'events';
  readonly message: MessageCodec<Event>;
}

/** What a declaration says beyond how its product is cut into messages. */
type Declared<Name extends string> = Omit<Product<ProductContent, Name>, 'pieces' | 'retention' | 'keptFor'>;

export function tensorProduct<Name extends string>(declared: Declared<Name>): TensorProduct<Name> {
  return {
    ...declared,
    retention: 'workqueue',
    keptFor: 'request',
    delivery: 'tensor',
    *pieces({ key, tile, tensor, timings }, { partBytes, maxTensorBytes }) {
      checkTensorBytes(tensor.shape, maxTensorBytes);
      const runs = splitRows(tensor, partBytes);
      for (const [part, run] of runs.entries()) {
        const message = { key, tile, part, parts: runs.length, rows: encodeTensor(run, 'float16') };
        const isLast = part === runs.length - 1;
        yield { tile, part, payload: VisualTokenRows.encode({ ...message, timings: isLast ? timings : [] }).finish() };
      }
    },
  };
}

export function eventProduct<Event extends ProductEvent, Name extends string>(
  declared: Declared<Name> & { readonly message: MessageCodec<Event> },
): EventProduct<Event, Name> {
  return {
    ...declared,
    retention: 'workqueue',
    keptFor: 'request',
    delivery: 'events',
    pieces: (event) => [{ tile: 0, part: event.sequence, payload: declared.message.encode(event).finish() }],
  };
}
