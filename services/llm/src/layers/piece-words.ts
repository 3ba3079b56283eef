import type { LayerCut } from '@tessera/bundle';

/** `a layer shard of piece 2 (layers 8 to 15)`. */
export function shardOfPiece({ pieces }: LayerCut, piece: number): string {
  const { firstLayer, layers } = pieces[piece] ?? { firstLayer: 0, layers: 0 };
  const range = layers === 1 ? `layer ${firstLayer}` : `layers ${firstLayer} to ${firstLayer + layers - 1}`;
  return `a layer shard of piece ${piece} (${range})`;
}
