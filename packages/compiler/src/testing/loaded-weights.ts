import type { WeightGroup } from '../graph/graph-builder.js';

/** What a group's tensors hold, as bytes. */
export async function loadedWeights({ tensors, load }: WeightGroup): Promise<Uint8Array[]> {
  const held = tensors.map(({ bytes }) => new Uint8Array(bytes));
  await load(async (index, offset, { buffer, byteOffset, byteLength }) => {
    held[index]?.set(new Uint8Array(buffer, byteOffset, byteLength), offset);
  });
  return held;
}
