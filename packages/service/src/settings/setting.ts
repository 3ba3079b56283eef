import type { z } from 'zod';

/** One thing that an operator may choose, with the same name in file, environment and flag. */
export interface Setting<T> {
  readonly schema: z.ZodType<T>;
  /** Absent: the setting must be given, unless its schema takes `undefined`. */
  readonly default?: T;
  /** One sentence, with the unit if the name does not say it. */
  readonly description: string;
  readonly example?: string;
  /** A secret is masked in logs, in errors and in help. */
  readonly secret: boolean;
}

/** The schema alone says what T is: a default of 'json' must not widen an enumeration to string. */
export type SettingOptions<T> = Pick<Setting<NoInfer<T>>, 'default' | 'description' | 'example'> & { secret?: boolean };

/** Keys are dotted camelCase: `grpc.maxMessageBytes`. */
// biome-ignore lint/suspicious/noExplicitAny: Setting is invariant in T; a record of mixed settings has no narrower type.
export type SettingsSchema = Readonly<Record<string, Setting<any>>>;

/** The checked values, flat, under the schema's own keys. */
export type Settings<S extends SettingsSchema> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

export function setting<T>(schema: z.ZodType<T>, options: SettingOptions<T>): Setting<T> {
  return { ...options, schema, secret: options.secret ?? false };
}
