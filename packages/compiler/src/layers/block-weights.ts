import type { Blocks, Parameter, StoredBlocks } from '../checkpoint/parameters.js';
import { rowBlocks, rowsAtOnce } from '../checkpoint/row-blocks.js';
import { microsoft, type Value, type WeightPrecision } from '../graph/index.js';
import { quantizeBlocks, type RoundedLayout, roundingRoom } from './quantize.js';

/** The blocks that a precision rounds to; undefined where it does not round. */
export function blocksOf(precision: WeightPrecision): RoundedLayout | undefined {
  const [, bits, wide, zeroPoints] = /^int([48])(-g128)?(-zp)?$/.exec(precision) ?? [];
  if (bits === undefined) return undefined;
  return {
    bits: bits === '4' ? 4 : 8,
    blockSize: wide === undefined ? 32 : 128,
    zeroPoints: zeroPoints === undefined ? 'none' : 'uint8',
  };
}

/** x [..., from] times the transpose of a weight [to, from], which is rounded to blocks, or is in such already. */
export function projectByBlocks(x: Value, weight: Parameter, precision: WeightPrecision, wanted: RoundedLayout): Value {
  const [to, from] = weight.shape as readonly [number, number];
  // What is rounded already is taken as it is, unless the weights are to be smaller than that.
  const stored = weight.stored !== undefined && weight.stored.bits <= wanted.bits ? weight.stored : undefined;
  const { bits, blockSize, zeroPoints } = stored ?? wanted;
  const blocks = Math.ceil(from / blockSize);
  const name = `${weight.name}:${precision}`;
  const [zeros, zerosWidth] =
    zeroPoints === 'float32' ? (['float32', blocks] as const) : (['uint8', Math.ceil((blocks * bits) / 8)] as const);
  const inputs = x.graph.streamedWeights(
    [name, `${name}:scales`, ...(zeroPoints === 'none' ? [] : [`${name}:zeros`])],
    [
      { dtype: 'uint8', shape: [to, blocks, (blockSize * bits) / 8] },
      { dtype: 'float32', shape: [to, blocks] },
      ...(zeroPoints === 'none' ? [] : [{ dtype: zeros, shape: [to, zerosWidth] }]),
    ],
    async (put, signal) => {
      // Rows come one after another, and so does what is made of them.
      const offsets = [0, 0, 0];
      for await (const { values, scales, zeroPoints } of stored === undefined
        ? roundedRows(weight, wanted, signal)
        : storedRows(weight, stored, signal)) {
        for (const [index, part] of [values, scales, zeroPoints].entries()) {
          if (part === undefined) continue;
          await put(index, offsets[index] as number, part);
          offsets[index] = (offsets[index] as number) + part.byteLength;
        }
      }
    },
  );
  // accuracy_level 4: activations are rounded to int8 too, by row and block, so a row's result is its own.
  const attributes = { K: from, N: to, bits, block_size: blockSize, accuracy_level: 4 };
  return x.graph.node('MatMulNBits', [x, ...inputs], attributes, { domain: microsoft })[0] as Value;
}

async function* roundedRows(weight: Parameter, layout: RoundedLayout, signal?: AbortSignal): AsyncGenerator<Blocks> {
  const columns = weight.shape[1] as number;
  const room = roundingRoom(rowsAtOnce(weight.shape), columns, layout);
  for await (const { rows, values } of rowBlocks(weight, signal)) {
    yield quantizeBlocks(values, rows, columns, layout, room);
  }
}

async function* storedRows({ shape }: Parameter, stored: StoredBlocks, signal?: AbortSignal): AsyncGenerator<Blocks> {
  const [rows, most] = [shape[0] as number, rowsAtOnce(shape)];
  for (let first = 0; first < rows; first += most) {
    signal?.throwIfAborted();
    yield await stored.readRows(first, Math.min(most, rows - first), signal);
  }
}
