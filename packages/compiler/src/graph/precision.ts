import type { WeightKind } from '@tessera/bundle';

/** How a graph holds the weights of its linear layers and convolutions. */
export type WeightPrecision = WeightKind;

/** The same, or 8 bits for a part of the model in which 4 would show. */
export const eightBitsAtLeast = (precision: WeightPrecision): WeightPrecision =>
  precision.startsWith('int4') ? 'int8' : precision;
