import { z } from 'zod';

export const tokenId = z.number().int().nonnegative();

/** Published configs give one id or several. */
export const tokenIds = z
  .union([tokenId, z.array(tokenId).min(1)])
  .transform((ids) => (typeof ids === 'number' ? [ids] : ids));
