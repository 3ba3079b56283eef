import type { PictureSize } from './trace.js';

/** How requests come. */
export const arrivalKinds = ['poisson', 'bursty', 'onoff', 'diurnal'] as const;
type ArrivalKind = (typeof arrivalKinds)[number];

/** A length that is lognormal: half of all are below the median, and sigma is that of its logarithm. */
export interface Lengths {
  readonly median: number;
  readonly sigma: number;
  readonly most: number;
}

export interface SyntheticTrace {
  readonly seed: number;
  /** So many at most; and none after `seconds`. */
  readonly requests: number;
  readonly seconds?: number;
  /** Requests a second, in the mean of the whole. */
  readonly rate: number;
  readonly arrivals: ArrivalKind;
  /** Of bursty arrivals: the variance of the times between them over that of Poisson's. */
  readonly burstiness: number;
  /** Of on and off, or of a day: its length in seconds. */
  readonly period: number;
  /** Of on and off: the share of a period that requests come in. Of a day: how much its peak is above the mean, 0 to 1. */
  readonly share: number;
  readonly textTokens: Lengths;
  readonly outputTokens: Lengths;
  /** Share of requests with pictures, how many each has at most, and the sizes that they have by turns of chance. */
  readonly pictureShare: number;
  readonly maxPictures: number;
  readonly pictureSizes: readonly PictureSize[];
  /** Share of requests that come to a drawing. */
  readonly drawingShare: number;
  readonly drawingSteps?: number;
  readonly choices: number;
}

export const syntheticDefaults: SyntheticTrace = {
  seed: 1,
  requests: 1000,
  rate: 1,
  arrivals: 'poisson',
  burstiness: 8,
  period: 86_400,
  share: 0.5,
  textTokens: { median: 200, sigma: 1, most: 32_768 },
  outputTokens: { median: 150, sigma: 0.8, most: 8192 },
  pictureShare: 0,
  maxPictures: 1,
  pictureSizes: [{ width: 1024, height: 768 }],
  drawingShare: 0,
  choices: 1,
};
