import { bytesPerElement, narrowToFloat16, TesseraError } from '@tessera/protocol';
import type { Parameter } from '../checkpoint/parameters.js';
import { rowBlocks } from '../checkpoint/row-blocks.js';
import { cast, type GraphBuilder, type Value, type WeightPrecision } from '../graph/index.js';

/** How a precision holds what it does not round to blocks. */
export type FloatType = 'float32' | 'float16';

export const floatTypeOf = (precision: WeightPrecision): FloatType => (precision === 'float16' ? 'float16' : 'float32');

/** Of float32, what is transposed at once: each column of it is a piece of a row in the file, and is to be no small one. */
const transposedBytes = 32 * 1024 * 1024;

const nameOf = (name: string, type: FloatType): string => (type === 'float32' ? name : `${name}:${type}`);

/** A parameter as it is published, in the given type. */
export function plainWeight(g: GraphBuilder, weight: Parameter, type: FloatType): Value {
  const spec = { dtype: type, shape: weight.shape };
  const [value] = g.streamedWeights([nameOf(weight.name, type)], [spec], async (put, signal) => {
    let offset = 0;
    for await (const { values } of rowBlocks(weight, signal)) {
      const held = heldAs(type, values, weight);
      await put(0, offset, held);
      offset += held.byteLength;
    }
  });
  return value as Value;
}

/** A weight [to, from] as a product of matrices takes it: [from, to]. */
export function transposedWeight(g: GraphBuilder, weight: Parameter, type: FloatType): Value {
  const [to, from] = weight.shape as readonly [number, number];
  const spec = { dtype: type, shape: [from, to] };
  const name = nameOf(`${weight.name}:transposed`, type);
  const [value] = g.streamedWeights([name], [spec], async (put, signal) => {
    for await (const { first, rows, values } of rowBlocks(weight, signal, transposedBytes)) {
      const held = heldAs(type, transposed(values, rows, from), weight);
      if (rows === to) {
        await put(0, 0, held);
        continue;
      }
      for (let column = 0; column < from; column++) {
        const offset = (column * to + first) * bytesPerElement[type];
        await put(0, offset, held.subarray(column * rows, (column + 1) * rows));
      }
    }
  });
  return value as Value;
}

/** The float32 values of a weight that is held in another type. ONNX Runtime makes them once, when it loads the graph. */
export const asFloat32 = (weight: Value, type: FloatType): Value =>
  type === 'float32' ? weight : cast(weight, 'float32');

function heldAs(type: FloatType, values: Float32Array, { name, file }: Parameter): Float32Array | Uint16Array {
  if (type === 'float32') return values;
  const held = narrowToFloat16(values);
  for (let i = 0; i < held.length; i++) {
    if (((held[i] as number) & 0x7fff) < 0x7c00) continue;
    const where = file === undefined ? '' : `${file}: `;
    const message = `${where}${name} has ${values[i]}, and float16 ends at 65504; compile the model with other weights`;
    throw new TesseraError('CHECKPOINT_INVALID', message);
  }
  return held;
}

/** Side of the squares that are turned one after another, so that neither side of the copy leaves the processor's cache. */
const tile = 32;

/** [rows, columns] to [columns, rows]. */
function transposed(source: Float32Array, rows: number, columns: number): Float32Array {
  const target = new Float32Array(source.length);
  for (let top = 0; top < rows; top += tile) {
    const bottom = Math.min(top + tile, rows);
    for (let left = 0; left < columns; left += tile) {
      const right = Math.min(left + tile, columns);
      for (let c = left; c < right; c++) {
        for (let r = top, from = top * columns + c; r < bottom; r++, from += columns) {
          target[c * rows + r] = source[from] as number;
        }
      }
    }
  }
  return target;
}
