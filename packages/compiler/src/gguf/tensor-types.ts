/** How ggml stores a tensor's values: in blocks of so many, each of so many bytes. */
export interface StoredType {
  readonly name: string;
  readonly blockValues: number;
  readonly blockBytes: number;
}

const entry = (id: number, name: string, blockValues: number, blockBytes: number): [number, StoredType] => [
  id,
  { name, blockValues, blockBytes },
];

/**
 * Every type that ggml gives a number today. Their sizes are needed to check a file's table of tensors, also of those that are
 * not read.
 */
export const storedTypes: ReadonlyMap<number, StoredType> = new Map([
  entry(0, 'F32', 1, 4),
  entry(1, 'F16', 1, 2),
  entry(2, 'Q4_0', 32, 18),
  entry(3, 'Q4_1', 32, 20),
  entry(6, 'Q5_0', 32, 22),
  entry(7, 'Q5_1', 32, 24),
  entry(8, 'Q8_0', 32, 34),
  entry(9, 'Q8_1', 32, 36),
  entry(10, 'Q2_K', 256, 84),
  entry(11, 'Q3_K', 256, 110),
  entry(12, 'Q4_K', 256, 144),
  entry(13, 'Q5_K', 256, 176),
  entry(14, 'Q6_K', 256, 210),
  entry(15, 'Q8_K', 256, 292),
  entry(16, 'IQ2_XXS', 256, 66),
  entry(17, 'IQ2_XS', 256, 74),
  entry(18, 'IQ3_XXS', 256, 98),
  entry(19, 'IQ1_S', 256, 50),
  entry(20, 'IQ4_NL', 32, 18),
  entry(21, 'IQ3_S', 256, 110),
  entry(22, 'IQ2_S', 256, 82),
  entry(23, 'IQ4_XS', 256, 136),
  entry(24, 'I8', 1, 1),
  entry(25, 'I16', 1, 2),
  entry(26, 'I32', 1, 4),
  entry(27, 'I64', 1, 8),
  entry(28, 'F64', 1, 8),
  entry(29, 'IQ1_M', 256, 56),
  entry(30, 'BF16', 1, 2),
  entry(34, 'TQ1_0', 256, 54),
  entry(35, 'TQ2_0', 256, 66),
  entry(39, 'MXFP4', 32, 17),
  entry(40, 'NVFP4', 64, 36),
  entry(41, 'Q1_0', 128, 18),
]);
