import { TesseraError } from '@tessera/protocol';
import { stepsPerLogit, weightOf } from './exponential.js';
import { type Edge, weightedEdge } from './weighted-edge.js';

/** Tokens of one block: its maximum says whether anything in it can matter, so that most are passed over. */
const blockSize = 512;

/** Far more than what a logarithm or the sum of a row is off by. */
export const rounding = 1e-9;

/** Tokens that may be chosen, by id, and what they weigh; the first `count` entries count. Good until the next call. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly logits: Float32Array;
  readonly weights: Float64Array;
  count: number;
}

/**
 * One row of logits, looked at without sorting it or taking the exponential of all of it where that can be helped. Each
 * method makes at most one pass over what it needs. One object serves row after row: it keeps its memory.
 */
export class LogitRow {
  #logits: Float32Array = new Float32Array(0);
  #maxima = new Float32Array(0);
  #highest = 0;
  #temperature = 1;
  #stepsPerLogit = 0;
  /** Weight of the tokens of each block. */
  #sums = new Float64Array(0);
  #candidates: Candidates = roomFor(0);
  readonly #ranges = new Float64Array(1024);
  /** Copies that are put out of order. */
  #values: Float64Array = new Float64Array(0);
  #weights: Float64Array = new Float64Array(0);

  /**
   * Takes a row in; it must not change while this is asked about it.
   * @param logits of tokens 0 and up; those of -Infinity may not be chosen
   * @throws TesseraError MODEL_OUTPUT_INVALID where one is no number or Infinity, or all are -Infinity
   */
  read(logits: Float32Array): void {
    this.#logits = logits;
    const blocks = Math.ceil(logits.length / blockSize);
    if (this.#maxima.length !== blocks) {
      this.#maxima = new Float32Array(blocks);
      this.#sums = new Float64Array(blocks);
    }
    let highest = Number.NEGATIVE_INFINITY;
    for (let block = 0; block < blocks; block++) {
      const maximum = maximumOf(logits, block * blockSize, Math.min(logits.length, (block + 1) * blockSize));
      this.#maxima[block] = maximum;
      // Also true of what is not a number.
      if (!(maximum <= highest)) highest = maximum;
      if (!(highest < Number.POSITIVE_INFINITY)) {
        throw new TesseraError('MODEL_OUTPUT_INVALID', `the model gave ${maximum} as a logit`);
      }
    }
    if (highest === Number.NEGATIVE_INFINITY) {
      throw new TesseraError('MODEL_OUTPUT_INVALID', 'there is no token that may be chosen');
    }
    this.#highest = highest;
  }

  /** The token with the largest logit; of equal ones the lowest. */
  get likeliest(): number {
    return this.#logits.indexOf(this.#highest, this.#maxima.indexOf(this.#highest) * blockSize);
  }

  /** The largest logit. */
  get highest(): number {
    return this.#highest;
  }

  /** From here on the likeliest token weighs 1, and each other as much as it is likely against that one. */
  weighBy(temperature: number): void {
    this.#temperature = temperature;
    this.#stepsPerLogit = stepsPerLogit(temperature);
  }

  /** The weight of all tokens. */
  total(): number {
    let total = 0;
    for (let block = 0; block < this.#sums.length; block++) {
      const sum = this.#weightOfMaximum(block) > 0 ? this.#weightOfBlock(block) : 0;
      this.#sums[block] = sum;
      total += sum;
    }
    return total;
  }

  /** The token in whose share of all weights `mark` lies, where the shares lie in order of the ids. Asks for `total` before. */
  at(mark: number): number {
    let before = 0;
    let lastBlock = 0;
    for (let block = 0; block < this.#sums.length; block++) {
      const sum = this.#sums[block] as number;
      if (sum === 0) continue;
      if (before + sum > mark) return this.#tokenAt(block, mark - before);
      before += sum;
      lastBlock = block;
    }
    // Rounding alone leads here.
    return this.#tokenAt(lastBlock, Number.POSITIVE_INFINITY);
  }

  /** The tokens that weigh as much, or more. */
  atLeast(weight: number): Candidates {
    // A little lower than the logit of that weight, which is looked at again.
    const leastLogit = this.#highest + (Math.log(weight) - rounding) * this.#temperature;
    return this.#gather(leastLogit, weight);
  }

  /** As many tokens with the largest logits; of equal ones the lowest. Fewer where others weigh nothing. */
  largest(count: number): Candidates {
    const { length } = this.#maxima;
    // Of so many blocks each has a token as large.
    const least = count <= length ? (this.#maxima.slice().sort()[length - count] as number) : Number.NEGATIVE_INFINITY;
    const candidates = this.#gather(least, 0);
    if (candidates.count > count) this.#keep(candidates, count, 1);
    return candidates;
  }

  /** Leaves the smallest set of the likeliest candidates whose weights reach `enough`; of equal ones the lowest ids. */
  keep(candidates: Candidates, enough: number): void {
    if (candidates.count > 1) this.#keep(candidates, enough, undefined);
  }

  /** @param each what every candidate counts; undefined: its weight */
  #keep(candidates: Candidates, enough: number, each: number | undefined): void {
    const { logits, weights, count } = candidates;
    const highest = this.#highest;
    let lowest = highest;
    for (let n = 0; n < count; n++) if ((logits[n] as number) < lowest) lowest = logits[n] as number;
    // Which of so many ranges of logits the set ends in, without putting anything in order.
    const sums = this.#ranges.fill(0);
    const rangesPerLogit = lowest < highest ? (sums.length - 1) / (highest - lowest) : 0;
    for (let n = 0; n < count; n++) {
      const range = Math.floor((highest - (logits[n] as number)) * rangesPerLogit);
      sums[range] = (sums[range] as number) + (each ?? (weights[n] as number));
    }
    const lowestRange = Math.floor((highest - lowest) * rangesPerLogit);
    let missing = enough;
    let last = 0;
    while (last < lowestRange && (sums[last] as number) < missing) missing -= sums[last++] as number;
    // Only what lies in that range is looked at one by one.
    let inRange = 0;
    for (let n = 0; n < count; n++) {
      const logit = logits[n] as number;
      if (Math.floor((highest - logit) * rangesPerLogit) !== last) continue;
      if (inRange === this.#values.length) this.#growValues();
      this.#values[inRange] = logit;
      this.#weights[inRange++] = each ?? (weights[n] as number);
    }
    this.#retain(candidates, weightedEdge(this.#values, this.#weights, inRange, missing));
  }

  #growValues(): void {
    const length = Math.max(1024, this.#values.length * 2);
    const values = new Float64Array(length);
    const weights = new Float64Array(length);
    values.set(this.#values);
    weights.set(this.#weights);
    this.#values = values;
    this.#weights = weights;
  }

  #retain(candidates: Candidates, { value, equal }: Edge): void {
    let left = equal;
    leaveOnly(candidates, (logit) => logit > value || (logit === value && left-- > 0));
  }

  /** The tokens with such a logit that weigh enough, and more than nothing. */
  #gather(leastLogit: number, leastWeight: number): Candidates {
    const logits = this.#logits;
    const highest = this.#highest;
    const steps = this.#stepsPerLogit;
    if (this.#candidates.ids.length < logits.length) {
      this.#candidates = roomFor(logits.length);
    }
    const { ids, logits: found, weights } = this.#candidates;
    let count = 0;
    for (let block = 0; block < this.#maxima.length; block++) {
      if ((this.#maxima[block] as number) < leastLogit) continue;
      const end = Math.min(logits.length, (block + 1) * blockSize);
      for (let id = block * blockSize; id < end; id++) {
        const logit = logits[id] as number;
        if (logit < leastLogit) continue;
        const weight = weightOf((logit - highest) * steps);
        if (weight < leastWeight || weight === 0) continue;
        ids[count] = id;
        found[count] = logit;
        weights[count++] = weight;
      }
    }
    this.#candidates.count = count;
    return this.#candidates;
  }

  #weightOfMaximum(block: number): number {
    return weightOf(((this.#maxima[block] as number) - this.#highest) * this.#stepsPerLogit);
  }

  #weightOfBlock(block: number): number {
    const logits = this.#logits;
    const highest = this.#highest;
    const steps = this.#stepsPerLogit;
    const end = Math.min(logits.length, (block + 1) * blockSize);
    let sum = 0;
    for (let id = block * blockSize; id < end; id++) sum += weightOf(((logits[id] as number) - highest) * steps);
    return sum;
  }

  #tokenAt(block: number, mark: number): number {
    const end = Math.min(this.#logits.length, (block + 1) * blockSize);
    let sum = 0;
    let last = -1;
    for (let id = block * blockSize; id < end; id++) {
      const weight = weightOf(((this.#logits[id] as number) - this.#highest) * this.#stepsPerLogit);
      if (weight === 0) continue;
      sum += weight;
      last = id;
      if (sum > mark) break;
    }
    return last;
  }
}

function roomFor(count: number): Candidates {
  return {
    ids: new Int32Array(count),
    logits: new Float32Array(count),
    weights: new Float64Array(count),
    count: 0,
  };
}

/** Drops the candidates that are not wanted; the others keep their order. */
export function leaveOnly(candidates: Candidates, wants: (logit: number, weight: number) => boolean): void {
  const { ids, logits, weights, count } = candidates;
  let kept = 0;
  for (let n = 0; n < count; n++) {
    const logit = logits[n] as number;
    const weight = weights[n] as number;
    if (!wants(logit, weight)) continue;
    ids[kept] = ids[n] as number;
    logits[kept] = logit;
    weights[kept++] = weight;
  }
  candidates.count = kept;
}

/** The largest of some logits; what is not a number, where there is one. */
function maximumOf(logits: Float32Array, from: number, to: number): number {
  let maximum = Number.NEGATIVE_INFINITY;
  for (let at = from; at < to; at++) {
    const logit = logits[at] as number;
    // Also true of what is not a number.
    if (!(logit <= maximum)) {
      maximum = logit;
      if (Number.isNaN(logit)) return logit;
    }
  }
  return maximum;
}
