import { type Float32Tensor, TesseraError } from '@tessera/protocol';

/**
 * The condition as the network takes it: the given rows last, the model's null rows in front of them.
 * @param nullCondition [conditionLength, width]
 * @param condition [rows, width], 1 to conditionLength rows
 * @returns conditionLength * width numbers
 * @throws TesseraError TENSOR_INVALID on another shape, or on a number that is not finite
 */
export function fullCondition(nullCondition: Float32Tensor, condition: Float32Tensor): Float32Array {
  const [length = 0, width = 0] = nullCondition.shape;
  const [rows = 0, givenWidth] = condition.shape;
  if (condition.shape.length !== 2 || givenWidth !== width || rows < 1 || rows > length) {
    const given = condition.shape.join(', ');
    throw new TesseraError(
      'TENSOR_INVALID',
      `a condition must be [rows, ${width}] with 1 to ${length} rows, not [${given}]`,
      { field: 'condition' },
    );
  }
  if (!condition.data.every(Number.isFinite)) {
    throw new TesseraError('TENSOR_INVALID', 'the condition holds a number that is not finite', { field: 'condition' });
  }
  const full = nullCondition.data.slice();
  full.set(condition.data, (length - rows) * width);
  return full;
}
