import { z } from 'zod';
import { positive } from '../../config.js';

/** How configs of Qwen's kind say which layers see only a window of the positions before them. */
export const slidingWindowFields = {
  use_sliding_window: z.boolean().default(false),
  /** Without use_sliding_window it says nothing. */
  sliding_window: positive.nullable().default(4096),
  /** The first layer with a window, where layer_types is not there. */
  max_window_layers: z.number().int().nonnegative().default(28),
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'], 'is not supported')).nullish(),
};

type SlidingWindowConfig = z.infer<z.ZodObject<typeof slidingWindowFields>> & { readonly num_hidden_layers: number };

/** Refuses types of layers that are not one for each, or that no window is given for. */
export function fittingWindows(config: SlidingWindowConfig, context: z.RefinementCtx): void {
  const { layer_types: types, use_sliding_window, sliding_window, num_hidden_layers: layers } = config;
  const problem = (message: string) => context.addIssue({ code: 'custom', path: ['layer_types'], message });
  if (types == null) return;
  if (types.length !== layers) problem(`has ${types.length} entries for ${layers} layers`);
  if (types.includes('sliding_attention') && !(use_sliding_window && sliding_window)) {
    problem('has sliding_attention, but use_sliding_window and sliding_window give no window');
  }
}

/** How many positions a layer's queries see, their own among them; undefined: all before them. */
export function windowOf(config: SlidingWindowConfig, layer: number): number | undefined {
  const { use_sliding_window, sliding_window, max_window_layers, layer_types } = config;
  if (!use_sliding_window || sliding_window === null) return undefined;
  const slides = layer_types == null ? layer >= max_window_layers : layer_types[layer] === 'sliding_attention';
  return slides ? sliding_window : undefined;
}
