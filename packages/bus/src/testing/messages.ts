import {
  type EncodeJob,
  type Float32Tensor,
  type JobKey,
  Modality,
  type StageWork,
  tensor,
  visualTokens,
} from '@tessera/protocol';
import type { Bus, DeliveryOptions } from '../bus.js';

/** What the tests of the bus send. */

export function jobKey(requestId: string, attempt = 1, item = 0): JobKey {
  return { requestId, attempt, item };
}

/** [rows, width] whose values name their place; all are exact in float16. */
export function counted(rows: number, width: number, offset = 0): Float32Tensor {
  const data = Float32Array.from({ length: rows * width }, (_, index) => (index + offset) % 2048);
  return tensor('float32', [rows, width], data);
}

export function inAMinute(): number {
  return Date.now() + 60_000;
}

/** The address of a process that is not there: what is sent to it lies on its stream. */
export const nobody = '0-nobodywaits';

/** To be published within a minute, for nobody. */
export function toNobody(): { deadlineMs: number; deliverTo: string } {
  return { deadlineMs: inAMinute(), deliverTo: nobody };
}

/** Sends a tile's visual tokens. */
export function sendTokens(
  bus: Bus,
  key: JobKey,
  tile: number,
  tokens: Float32Tensor,
  { timings = [], ...to }: DeliveryOptions & { readonly timings?: StageWork[] },
): Promise<void> {
  return bus.send(visualTokens, { key, tile, tensor: tokens, timings }, to);
}

/** An encode job whose media rides in the message; nothing decodes it. */
export function encodeJob(requestId: string, firstTile = 0, bytes = 3): EncodeJob {
  const value = new Uint8Array(bytes).fill(7);
  return {
    key: jobKey(requestId),
    media: { place: { $case: 'inline', value }, digest: 'd', size: BigInt(bytes) },
    modality: Modality.IMAGE,
    size: undefined,
    firstTile,
    tileCount: 4,
  };
}
