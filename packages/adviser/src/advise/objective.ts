import { TesseraError } from '@tessera/protocol';
import type { SimulationResult } from '../simulate/simulate.js';

/** What is measured: until the first token, the whole answer, from a token to the next; or the share that is refused. */
const measures = ['ttft', 'latency', 'token'] as const;

/** Something that a deployment is to hold. */
export interface Objective {
  /** As it was asked for. */
  readonly text: string;
  /** What it is in a result: milliseconds, or a share. */
  valueIn(result: SimulationResult): number;
  /** No more than this. */
  readonly most: number;
  readonly unit: 'ms' | 'share';
}

/** Unless something else is asked for: a deployment that answers few requests well holds nothing. */
const defaultRefused = 'refused=0.1%';

/**
 * Reads `ttft_p95=1s,latency_p99=20s,token_p50=40ms,refused=1%`.
 * @throws TesseraError CONFIG_INVALID
 */
export function parseObjectives(text: string): Objective[] {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length === 0) throw wrong(text);
  if (!parts.some((part) => part.startsWith('refused='))) parts.push(defaultRefused);
  return parts.map(parseObjective);
}

function parseObjective(text: string): Objective {
  const [, refused] = /^refused=(\d+(?:\.\d+)?)%$/.exec(text) ?? [];
  if (refused !== undefined) {
    const most = Number(refused) / 100;
    if (most > 1) throw wrong(text);
    return { text, most, unit: 'share', valueIn: (result) => result.refused / Math.max(1, result.requests) };
  }
  const [, name = '', digits, amount, unit] = /^([a-z]+)_p(\d{1,2}(?:\.\d+)?)=(\d+(?:\.\d+)?)(ms|s)$/.exec(text) ?? [];
  const measure = measures.find((each) => each === name);
  const most = Number(amount) * (unit === 's' ? 1000 : 1);
  if (measure === undefined || !(most > 0)) throw wrong(text);
  const share = Number(digits) / 100;
  // Of nothing that was answered there is no time: it is longer than any.
  const valueIn = (result: SimulationResult): number => {
    const value = result[measure].quantile(share);
    return Number.isNaN(value) && result.answered === 0 ? Number.POSITIVE_INFINITY : value || 0;
  };
  return { text, most, unit: 'ms', valueIn };
}

function wrong(text: string): TesseraError {
  return new TesseraError(
    'CONFIG_INVALID',
    `${JSON.stringify(text)} is no objective: say ttft_p95=1s, latency_p99=20s, token_p50=40ms or refused=1%, several with commas`,
  );
}

/** How far a result is from holding all of them: 1 or less holds them, 2 is twice as much as may be. */
export function excess(result: SimulationResult, objectives: readonly Objective[]): number {
  return Math.max(...objectives.map((objective) => ratio(objective, result)));
}

/** The objective that a result is furthest from. */
export function hardest(result: SimulationResult, objectives: readonly Objective[]): Objective {
  return objectives.reduce((most, each) => (ratio(each, result) > ratio(most, result) ? each : most));
}

function ratio({ valueIn, most }: Objective, result: SimulationResult): number {
  const value = valueIn(result);
  if (most === 0) return value === 0 ? 0 : Number.POSITIVE_INFINITY;
  return value / most;
}

/** A value of an objective, for people. */
export function shown({ unit }: Pick<Objective, 'unit'>, value: number): string {
  if (!Number.isFinite(value)) return 'never';
  if (unit === 'share') return `${(value * 100).toFixed(2)} %`;
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}
