import { z } from 'zod';
import { maxSize } from '../../config.js';

/** How configs of Qwen's kind say which layers see only a window of the positions before them. */
export const slidingWindowFields = {
  use_sliding_window: z.boolean().default(false),
  /** Without use_sliding_window it says nothing, and may be 0. */
  sliding_window: z.number().int().nonnegative().max(maxSize).nullable().default(4096),
  /** Where layer_types is not there, it decides which layers have a window: see windowOf. */
  max_window_layers: z.number().int().nonnegative().default(28),
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'], 'is not supported')).nullish(),
};

type SlidingWindowConfig = z.infer<z.ZodObject<typeof slidingWindowFields>> & { readonly num_hidden_layers: number };

/** Refuses a window in which nothing is seen. */
export function fittingWindow(
  { use_sliding_window, sliding_window }: Pick<SlidingWindowConfig, 'use_sliding_window' | 'sliding_window'>,
  context: z.RefinementCtx,
): void {
  if (!use_sliding_window || sliding_window !== 0) return;
  context.addIssue({ code: 'custom', path: ['sliding_window'], message: 'is 0, but use_sliding_window is true' });
}

/** Refuses that, and types of layers that are not one for each, or that no window is given for. */
export function fittingWindows(config: SlidingWindowConfig, context: z.RefinementCtx): void {
  fittingWindow(config, context);
  const { layer_types: types, use_sliding_window, sliding_window, num_hidden_layers: layers } = config;
  const problem = (message: string) => context.addIssue({ code: 'custom', path: ['layer_types'], message });
  if (types == null) return;
  if (types.length !== layers) problem(`has ${types.length} entries for ${layers} layers`);
  if (types.includes('sliding_attention') && !(use_sliding_window && sliding_window)) {
    problem('has sliding_attention, but use_sliding_window and sliding_window give no window');
  }
}

/** Layers that have a window where layer_types is not there: from max_window_layers on, unless the family has it otherwise. */
const fromMaxWindowLayers = (layer: number, maxWindowLayers: number): boolean => layer >= maxWindowLayers;

/** How many positions a layer's queries see, their own among them; undefined: all before them. */
export function windowOf(
  config: SlidingWindowConfig,
  layer: number,
  byDefault = fromMaxWindowLayers,
): number | undefined {
  const { use_sliding_window, sliding_window, max_window_layers, layer_types } = config;
  if (!use_sliding_window || sliding_window === null) return undefined;
  const slides = layer_types == null ? byDefault(layer, max_window_layers) : layer_types[layer] === 'sliding_attention';
  return slides ? sliding_window : undefined;
}
