import {
  decodeTensor,
  type Float32Tensor,
  joinRows,
  type ProductPlace,
  type StageWork,
  TesseraError,
  VisualTokenRows,
} from '@tessera/protocol';
import { hasUnknownFields } from '@tessera/service';

interface AssembledTensor {
  readonly item: number;
  readonly tile: number;
  readonly attempt: number;
  readonly tensor: Float32Tensor;
  readonly timings: StageWork[];
}

export interface AssemblerLimits {
  readonly maxTensorBytes: number;
  readonly maxPendingBytes: number;
}

/** What became of one part. */
export type PartOutcome =
  | { readonly kind: 'complete'; readonly tensor: AssembledTensor }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'dropped'; readonly why: 'duplicate' | 'corrupt' | 'overflow'; readonly detail: string };

/** What nats.partBytes must be at least. */
const smallestPartBytes = 1024;

/** One attempt's parts of one tile. */
interface Unfinished {
  readonly parts: (Float32Tensor | undefined)[];
  missing: number;
  bytes: number;
  timings: StageWork[];
}

/**
 * Puts tensors of many requests back together from parts that come in any order, more than once, from several attempts.
 * The first valid copy of a part is kept, parts of different attempts are never mixed, and the first attempt that is
 * complete is the tile's tensor: whatever comes later for that tile is a duplicate.
 */
export class TensorAssembler {
  /** By request and tile, then attempt. Insertion order is age. */
  private readonly unfinished = new Map<string, Map<number, Unfinished>>();
  /** By request, its tiles. */
  private readonly finished = new Map<string, Set<string>>();
  private pendingBytes = 0;

  constructor(
    private readonly limits: AssemblerLimits,
    /** Told of each part with fields that this release does not know. */
    private readonly onUnknownFields: () => void = () => {},
  ) {}

  /** Whether a tile's tensor is complete. */
  has({ requestId, item, tile }: Pick<ProductPlace, 'requestId' | 'item' | 'tile'>): boolean {
    return this.finished.get(requestId)?.has(`${item}/${tile}`) ?? false;
  }

  /** The request has ended: lets go of everything that is held for it. */
  forgetRequest(requestId: string): void {
    this.finished.delete(requestId);
    for (const name of this.unfinished.keys()) if (name.startsWith(`${requestId}/`)) this.forget(name);
  }

  /** @param at where the message lay: a part that claims another place is corrupt */
  add(at: ProductPlace, payload: Uint8Array): PartOutcome {
    const name = nameOf(at);
    if (this.has(at)) return dropped('duplicate', 'the tile is complete');
    let part: VisualTokenRows;
    let rows: Float32Tensor;
    let attempt: number;
    try {
      part = VisualTokenRows.decode(payload);
      if (hasUnknownFields(part)) this.onUnknownFields();
      attempt = this.check(at, part);
      rows = decodeTensor(part.rows);
    } catch (reason) {
      return dropped('corrupt', reason instanceof Error ? reason.message : String(reason));
    }
    const attempts = this.unfinished.get(name) ?? new Map<number, Unfinished>();
    const held = attempts.get(attempt) ?? {
      parts: new Array<Float32Tensor | undefined>(part.parts).fill(undefined),
      missing: part.parts,
      bytes: 0,
      timings: [],
    };
    if (held.parts.length !== part.parts) {
      return dropped('corrupt', `the part says ${part.parts} parts, an earlier one ${held.parts.length}`);
    }
    if (held.parts[part.part] !== undefined) return dropped('duplicate', 'the part is there');
    const sibling = held.parts.find((other) => other !== undefined);
    if (sibling !== undefined && sibling.shape.slice(1).join() !== rows.shape.slice(1).join()) {
      return dropped('corrupt', `rows of shape [${rows.shape.join(', ')}] beside [${sibling.shape.join(', ')}]`);
    }
    held.parts[part.part] = rows;
    held.missing--;
    held.bytes += rows.data.byteLength;
    this.pendingBytes += rows.data.byteLength;
    if (part.timings.length > 0) held.timings = part.timings;
    attempts.set(attempt, held);
    this.unfinished.set(name, attempts);
    if (held.missing > 0) return this.makeRoom(name);
    return this.finish(at, attempt, held);
  }

  private finish(at: ProductPlace, attempt: number, { parts, timings }: Unfinished): PartOutcome {
    this.forget(nameOf(at));
    const finished = this.finished.get(at.requestId) ?? new Set<string>();
    finished.add(`${at.item}/${at.tile}`);
    this.finished.set(at.requestId, finished);
    const tensor = joinRows(parts.filter((part) => part !== undefined));
    return { kind: 'complete', tensor: { item: at.item, tile: at.tile, attempt, tensor, timings } };
  }

  private check(at: ProductPlace, part: VisualTokenRows): number {
    const { key } = part;
    const { maxTensorBytes } = this.limits;
    if (
      key === undefined ||
      key.requestId !== at.requestId ||
      key.item !== at.item ||
      part.tile !== at.tile ||
      part.part !== at.part
    ) {
      throw new TesseraError('TENSOR_INVALID', 'the part is not what its subject says');
    }
    // The sender may have been given another size of parts than this process; no part is smaller than this.
    const maxParts = Math.ceil(maxTensorBytes / smallestPartBytes);
    if (part.parts < 1 || part.parts > maxParts || part.part >= part.parts) {
      throw new TesseraError('TENSOR_INVALID', `part ${part.part} of ${part.parts}, where at most ${maxParts} may be`);
    }
    if ((part.rows?.shape.length ?? 0) < 1) throw new TesseraError('TENSOR_INVALID', 'a part without rows');
    return key.attempt;
  }

  /** Over the limit the oldest unfinished tile goes; its reader will ask for it again. */
  private makeRoom(name: string): PartOutcome {
    if (this.pendingBytes <= this.limits.maxPendingBytes) return { kind: 'waiting' };
    const oldest = [...this.unfinished.keys()].find((other) => other !== name) ?? name;
    this.forget(oldest);
    return dropped('overflow', `tile ${oldest} was dropped unfinished: over ${this.limits.maxPendingBytes} bytes wait`);
  }

  private forget(name: string): void {
    for (const held of this.unfinished.get(name)?.values() ?? []) this.pendingBytes -= held.bytes;
    this.unfinished.delete(name);
  }
}

function nameOf({ requestId, item, tile }: ProductPlace): string {
  return `${requestId}/${item}/${tile}`;
}

function dropped(why: 'duplicate' | 'corrupt' | 'overflow', detail: string): PartOutcome {
  return { kind: 'dropped', why, detail };
}
