/** How a graph holds the weights of its linear layers and convolutions. */
export type WeightPrecision = 'float32' | 'int8';
