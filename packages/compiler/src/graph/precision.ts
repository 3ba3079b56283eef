import type { WeightKind } from '@tessera/bundle';

/** How a graph holds the weights of its linear layers and convolutions. */
export type WeightPrecision = WeightKind;
