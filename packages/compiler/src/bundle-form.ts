import type { KvCacheType } from '@tessera/bundle';
import type { Cut } from './cut.js';
import type { WeightPrecision } from './graph/index.js';

/** What can be made of one checkpoint. */
export interface BundleForm {
  readonly weights: WeightPrecision;
  readonly cut?: Cut | undefined;
  /** float32 where it is not said. */
  readonly kvCache?: KvCacheType | undefined;
}

/** What tells such bundles from each other; of one that is as most are, only its weights. */
export function wordsOfForm({ weights, cut, kvCache }: BundleForm): string[] {
  return [weights, ...(cut === undefined ? [] : [cut]), ...(kvCache === 'float16' ? ['kv16'] : [])];
}
