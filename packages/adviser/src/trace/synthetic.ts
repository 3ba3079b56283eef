import { TesseraError } from '@tessera/protocol';
import { randomExponential, randomGamma, randomLogNormal } from 'd3-random';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Lengths, SyntheticTrace } from './synthetic-options.js';
import type { PictureSize, TraceRequest } from './trace.js';

/** Numbers from 0 up to 1, the same for the same seed on any machine. */
export function seededUniform(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  // A small seed is mostly zeros, and so are the first numbers that come of it.
  for (let skipped = 0; skipped < 64; skipped++) generator.next();
  return () => uniformFloat64(generator);
}

/**
 * Makes requests: arrivals of the kind, lognormal lengths, and shares of pictures and drawings. The same options give the
 * same trace.
 * @throws TesseraError CONFIG_INVALID
 */
export function* syntheticRequests(options: SyntheticTrace): Generator<TraceRequest> {
  check(options);
  const uniform = seededUniform(options.seed);
  const next = arrivalTimes(options, uniform);
  const lengthOf = (lengths: Lengths): (() => number) => {
    const draw = randomLogNormal.source(uniform)(Math.log(lengths.median), lengths.sigma);
    return () => Math.max(1, Math.min(lengths.most, Math.round(draw())));
  };
  const textTokens = lengthOf(options.textTokens);
  const outputTokens = lengthOf(options.outputTokens);
  const { pictureShare, maxPictures, pictureSizes, drawingShare, drawingSteps, choices } = options;
  for (let made = 0; made < options.requests; made++) {
    const at = next();
    if (at > (options.seconds ?? Number.POSITIVE_INFINITY)) return;
    const pictures =
      uniform() >= pictureShare
        ? []
        : Array.from(
            { length: 1 + Math.floor(uniform() * maxPictures) },
            () => pictureSizes[Math.floor(uniform() * pictureSizes.length)] as PictureSize,
          );
    const draws = uniform() < drawingShare;
    yield {
      at: Math.round(at * 1e6) / 1e6,
      textTokens: textTokens(),
      outputTokens: outputTokens(),
      ...(pictures.length > 0 ? { pictures } : {}),
      ...(draws ? { drawings: 1, ...(drawingSteps === undefined ? {} : { drawingSteps }) } : {}),
      ...(choices > 1 ? { choices } : {}),
    };
  }
}

/** Each call gives the time of the next arrival, in seconds. */
function arrivalTimes({ arrivals, rate, burstiness, period, share }: SyntheticTrace, uniform: () => number) {
  let at = 0;
  const exponential = randomExponential.source(uniform);
  switch (arrivals) {
    case 'poisson': {
      const gap = exponential(rate);
      return () => (at += gap());
    }
    case 'bursty': {
      // A gamma of shape 1 / b has b times the variance of the exponential of its mean.
      const gap = randomGamma.source(uniform)(1 / burstiness, burstiness / rate);
      return () => (at += gap());
    }
    case 'onoff': {
      // Poisson on a clock that stands still while off.
      const gap = exponential(rate / share);
      let onSeconds = 0;
      return () => {
        onSeconds += gap();
        const on = period * share;
        return Math.floor(onSeconds / on) * period + (onSeconds % on);
      };
    }
    case 'diurnal': {
      // Thinned: as many as at the peak are drawn, and those kept that the hour has.
      const gap = exponential(rate * (1 + share));
      return () => {
        do at += gap();
        while (uniform() * (1 + share) > 1 - share * Math.cos((2 * Math.PI * at) / period));
        return at;
      };
    }
  }
}

function check(options: SyntheticTrace): void {
  const wrong = (message: string): TesseraError => new TesseraError('CONFIG_INVALID', message);
  for (const name of ['rate', 'period'] as const) if (!(options[name] > 0)) throw wrong(`${name} must be above 0`);
  if (!(options.burstiness >= 1)) throw wrong('burstiness must be 1, which is Poisson, or more');
  for (const name of ['share', 'pictureShare', 'drawingShare'] as const) {
    if (!(options[name] >= 0 && options[name] <= 1)) throw wrong(`${name} must be 0 to 1`);
  }
  if (options.arrivals === 'onoff' && options.share === 0) throw wrong('with a share of 0 on and off is always off');
  if (options.pictureShare > 0 && options.pictureSizes.length === 0) throw wrong('pictures must have a size');
  for (const { median, sigma, most } of [options.textTokens, options.outputTokens]) {
    if (!(median >= 1 && median <= most && sigma >= 0 && sigma <= 10)) {
      throw wrong(`a length of median ${median}, sigma ${sigma} and at most ${most} tokens cannot be drawn`);
    }
  }
}
