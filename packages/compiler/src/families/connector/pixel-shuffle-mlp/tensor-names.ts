/** Where the checkpoint keeps the projector's tensors. */
export const names = { norm: 'layer_norm', inner: 'linear_1', outer: 'linear_2' } as const;
