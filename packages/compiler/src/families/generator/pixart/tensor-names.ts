/** Where diffusers' PixArtTransformer2DModel keeps its tensors. */
export const names = {
  patches: 'pos_embed.proj',
  caption: 'caption_projection',
  timestep: 'adaln_single.emb.timestep_embedder',
  /** From the timestep to the six modulations of every block. */
  modulations: 'adaln_single.linear',
  /** Below the caption's and the timestep's. */
  inner: 'linear_1',
  outer: 'linear_2',
  block: (index: number) => `transformer_blocks.${index}`,
  /** Below a block, and for the last norm below the model: [rows, width], added to the timestep's modulation. */
  table: 'scale_shift_table',
  selfAttention: 'attn1',
  crossAttention: 'attn2',
  query: 'to_q',
  key: 'to_k',
  value: 'to_v',
  output: 'to_out.0',
  mlpIn: 'ff.net.0.proj',
  mlpOut: 'ff.net.2',
  pixels: 'proj_out',
  /** Tessera's own: what "nothing asked for" looks like, [condition_length, caption_channels]. */
  nullCondition: 'condition.null',
} as const;
