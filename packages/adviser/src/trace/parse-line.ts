import { maxCount, type PictureSize, type TraceRequest } from './trace.js';

/** What a field may be. */
interface Range {
  readonly least: number;
  readonly most: number;
  readonly whole: boolean;
}

const tokens: Range = { least: 0, most: 100_000_000, whole: true };
/** A few years. */
const seconds: Range = { least: 0, most: 100_000_000, whole: false };

const ranges = {
  at: seconds,
  textTokens: tokens,
  outputTokens: { ...tokens, least: 1 },
  cachedTokens: tokens,
  maxTokens: { ...tokens, least: 1 },
  drawings: { least: 0, most: 1024, whole: true },
  drawingSteps: { least: 1, most: 10_000, whole: true },
  choices: { least: 1, most: 1024, whole: true },
} satisfies Readonly<Record<string, Range>>;

type NumberField = keyof typeof ranges;

const needed: readonly NumberField[] = ['at', 'textTokens', 'outputTokens'];
const fields = [...Object.keys(ranges), 'pictures'];
const pictureSide: Range = { least: 1, most: maxCount, whole: true };
const maxPictures = 1024;

/** Thrown by `parseLine`, with what is wrong in words that go on after "line 7". */
export class LineError extends Error {}

/**
 * Reads one line of a trace. By hand: a schema takes longer for a million lines than their simulation.
 * @throws LineError
 */
export function parseLine(line: string): TraceRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new LineError('is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new LineError('is no JSON object');
  const request = value as Record<string, unknown>;
  for (const field in request) {
    if (field === 'pictures') checkPictures(request[field]);
    else if (Object.hasOwn(ranges, field)) checkNumber(field, request[field], ranges[field as NumberField]);
    else throw new LineError(`has ${JSON.stringify(field).slice(0, 64)}, which is none of ${fields.join(', ')}`);
  }
  for (const field of needed) if (request[field] === undefined) throw new LineError(`lacks ${field}`);
  const read = request as unknown as TraceRequest;
  if ((read.cachedTokens ?? 0) > read.textTokens) {
    throw new LineError(`has cachedTokens ${read.cachedTokens}, more than its ${read.textTokens} textTokens`);
  }
  if ((read.maxTokens ?? read.outputTokens) < read.outputTokens) {
    throw new LineError(`has maxTokens ${read.maxTokens}, less than its ${read.outputTokens} outputTokens`);
  }
  if (read.textTokens === 0 && (read.pictures ?? []).length === 0)
    throw new LineError('has neither text nor a picture');
  return read;
}

function checkNumber(what: string, value: unknown, { least, most, whole }: Range): void {
  if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))) return;
  const kind = whole ? 'a whole number' : 'a number';
  throw new LineError(`has ${what} ${JSON.stringify(value)?.slice(0, 64)}; it is ${kind} from ${least} to ${most}`);
}

function checkPictures(value: unknown): asserts value is readonly PictureSize[] {
  if (!Array.isArray(value)) throw new LineError('has pictures that are no list of {"width", "height"}');
  if (value.length > maxPictures) throw new LineError(`has ${value.length} pictures; at most ${maxPictures} are taken`);
  for (const picture of value as unknown[]) {
    if (typeof picture !== 'object' || picture === null) throw new LineError('has a picture that is no object');
    const { width, height, ...others } = picture as Partial<Record<string, unknown>>;
    const [other] = Object.keys(others);
    if (other !== undefined) throw new LineError(`has a picture with ${JSON.stringify(other).slice(0, 64)}`);
    checkNumber("a picture's width", width, pictureSide);
    checkNumber("a picture's height", height, pictureSide);
  }
}
