import type { GeneratorSection } from '@tessera/bundle';
import type { Module, Parameter } from '../checkpoint/parameters.js';
import { GraphBuilder, type Value, type WeightPrecision } from '../graph/index.js';

/** The pieces of a generator family, opened with a config. */
export interface Generator {
  /** Its section of the manifest, but for the files. */
  readonly section: Omit<GeneratorSection, 'graph' | 'nullCondition'>;
  /** The condition of "nothing asked for": [conditionLength, conditionWidth]. */
  nullCondition(weights: Module): Parameter;
  /** One call of the network: see generatorGraph. */
  predict(sample: Value, timestep: Value, condition: Value, weights: Module): Value;
}

/**
 * generator.onnx: sample float32 [batch, channels, height, width], timestep float32 [batch] (sigma * numTrainTimesteps)
 * and condition float32 [batch, conditionLength, conditionWidth] -> predicted float32, of the sample's shape.
 */
export function generatorGraph(generator: Generator, weights: Module, precision: WeightPrecision): GraphBuilder {
  const { channels, height, width, conditionLength, conditionWidth } = generator.section;
  const g = new GraphBuilder('generator', precision);
  const shape = ['batch', channels, height, width];
  const sample = g.input('sample', 'float32', shape);
  const timestep = g.input('timestep', 'float32', ['batch']);
  const condition = g.input('condition', 'float32', ['batch', conditionLength, conditionWidth]);
  g.output('predicted', generator.predict(sample, timestep, condition, weights), 'float32', shape);
  return g;
}
