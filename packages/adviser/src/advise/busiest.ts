import type { Profile } from '../profile/profile.js';
import { PictureSizes } from '../simulate/picture-sizes.js';
import type { Trace } from '../trace/trace.js';

/**
 * The part of a trace in which the most is asked for in the time: so many requests in a row; all of a shorter trace.
 * By tokens, tiles and denoising steps, each weighed by its share of the whole.
 */
export function busiestPart(trace: Trace, requests: number, profile: Profile): Trace {
  if (trace.length <= requests) return trace;
  const sizes = new PictureSizes(profile.preprocessing);
  const step = Math.max(1, Math.floor(requests / 4));
  const sums: number[][] = [];
  for (let from = 0; from < trace.length; from += step) {
    const sum = [0, 0, 0, 0];
    for (let index = from; index < Math.min(trace.length, from + step); index++) {
      const { textTokens, outputTokens, choices, pictures, drawings, drawingSteps } = trace.request(index);
      const work = [
        textTokens,
        outputTokens * choices,
        pictures.reduce((tiles, size) => tiles + sizes.tilesOf(size), 0),
        drawings * choices * (drawingSteps || 1),
      ];
      work.forEach((amount, kind) => {
        sum[kind] = (sum[kind] as number) + amount;
      });
    }
    sums.push(sum);
  }
  const all = [0, 1, 2, 3].map((kind) => sums.reduce((total, sum) => total + (sum[kind] as number), 0));
  let best = { from: 0, rate: -1 };
  for (let block = 0; block + 4 <= sums.length; block++) {
    const from = block * step;
    const to = Math.min(trace.length, from + 4 * step);
    const seconds = Math.max(1e-6, trace.arrival(to - 1) - trace.arrival(from));
    const share = all.reduce((total, amount, kind) => {
      const here = sums.slice(block, block + 4).reduce((sum, each) => sum + (each[kind] as number), 0);
      return amount === 0 ? total : total + here / amount;
    }, 0);
    if (share / seconds > best.rate) best = { from, rate: share / seconds };
  }
  return trace.slice(best.from, Math.min(trace.length, best.from + 4 * step));
}
