import { readFile } from 'node:fs/promises';
import type { Bundle } from '@tessera/bundle';
import { TesseraError, tensorFromBytes } from '@tessera/protocol';
import type { GeneratorModel } from './engine.js';

/**
 * The generator of a bundle.
 * @throws TesseraError UNSUPPORTED when it has none, or one that predicts what the flow's Euler step cannot start from;
 *   TENSOR_INVALID when the null condition has another size
 */
export async function readModel(bundle: Bundle): Promise<GeneratorModel> {
  const section = bundle.stage('generator');
  const { predictionType, conditionLength, conditionWidth } = section;
  if (predictionType === 'epsilon') {
    // At sigma 1 the picture has no share in z, so noise says nothing of it.
    throw new TesseraError('UNSUPPORTED', `rectified flow needs a network that predicts sample or velocity, not noise`);
  }
  const bytes = await readFile(bundle.file(section.nullCondition));
  const nullCondition = tensorFromBytes('float32', [conditionLength, conditionWidth], bytes);
  return { ...section, predictionType, nullCondition };
}
