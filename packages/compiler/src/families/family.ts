import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { parseConfig } from '../config.js';

/**
 * A published architecture, its config still to be read. `where` is how messages call the part of config.json;
 * `given` is what the family must know of the stages before it.
 */
export type Family<Model, Given extends readonly unknown[] = []> = (
  config: unknown,
  where: string,
  ...given: Given
) => Model;

/**
 * The family of a schema and of the pieces that a config which fits it describes. The type of config stays inside, so
 * that all families of one stage lie in one table.
 */
export function family<Config, Model, Given extends readonly unknown[] = []>(
  schema: z.ZodType<Config>,
  pieces: (config: Config, where: string, ...given: Given) => Model,
): Family<Model, Given> {
  return (config, where, ...given) => pieces(parseConfig(schema, config, where), where, ...given);
}

const typed = z.object({ model_type: z.string() });

/**
 * The entry of a registry that a config's model_type names.
 * @throws TesseraError CHECKPOINT_INVALID listing the known ones
 */
export function byModelType<T>(registry: Readonly<Record<string, T>>, config: unknown, where: string): T {
  const { model_type } = parseConfig(typed, config, where);
  if (!Object.hasOwn(registry, model_type)) {
    const known = Object.keys(registry).sort().join(', ');
    throw new TesseraError('CHECKPOINT_INVALID', `${where}.model_type is ${model_type}; known are ${known}`);
  }
  return registry[model_type] as T;
}
