import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

/**
 * A part of a published config. Fields that the schema does not name are ignored: configs carry much that is of no
 * concern here.
 * @throws TesseraError CHECKPOINT_INVALID naming the part and each wrong field
 */
export function parseConfig<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${[where, ...issue.path].join('.')}: ${issue.message}`);
  throw new TesseraError('CHECKPOINT_INVALID', problems.join('; '), { cause: result.error });
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

/** Any size in a config; what no tensor could have is an error, not a long computation. */
export const positive = z
  .number()
  .int()
  .positive()
  .max(2 ** 31 - 1);

/** Of layers, experts and the like, which graphs are built for one by one. */
export const pieces = positive.max(4096);
