/** Where Hugging Face's ResNetModel keeps its tensors. */
export const names = {
  stem: 'embedder.embedder',
  layer: (stage: number, index: number) => `encoder.stages.${stage}.layers.${index}`,
  /** Below a layer: what is added to the residual where the shape changes, and the residual's convolutions by number. */
  shortcut: 'shortcut',
  residual: 'layer',
  /** Below each convolution. */
  convolution: 'convolution',
  normalization: 'normalization',
} as const;
