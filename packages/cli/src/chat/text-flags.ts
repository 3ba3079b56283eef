import { readFile } from 'node:fs/promises';
import { type ResponseFormat, TesseraError, type TextOptions } from '@tessera/client';

/** Flags that are options of the text under the same names. */
const sameNames = [
  'maxTokens',
  'minTokens',
  'temperature',
  'topK',
  'topP',
  'minP',
  'repetitionPenalty',
  'presencePenalty',
  'frequencyPenalty',
  'logitBias',
  'stop',
  'seed',
] as const satisfies (keyof TextOptions)[];

/** What flags say of how an answer's text is written. */
export interface TextFlags extends Pick<TextOptions, Exclude<(typeof sameNames)[number], 'seed'>> {
  readonly seed?: bigint;
  readonly stopToken?: readonly number[];
  readonly logprobs?: number;
  readonly jsonObject?: boolean;
  /** A file. */
  readonly schema?: string;
  readonly regex?: string;
}

/** @throws TesseraError REQUEST_INVALID where the file of a schema cannot be read, or flags exclude each other */
export async function textOptions(flags: TextFlags): Promise<TextOptions> {
  const said: TextOptions = Object.fromEntries(sameNames.map((name) => [name, flags[name]]));
  const { stopToken: stopTokenIds, logprobs: top } = flags;
  const logprobs = top === undefined ? undefined : { top };
  return { ...said, stopTokenIds, logprobs, responseFormat: await responseFormat(flags) };
}

async function responseFormat({ jsonObject, schema, regex }: TextFlags): Promise<ResponseFormat | undefined> {
  const formats: ResponseFormat[] = [];
  if (jsonObject === true) formats.push({ type: 'json_object' });
  if (schema !== undefined) formats.push({ type: 'json_schema', schema: await readSchema(schema) });
  if (regex !== undefined) formats.push({ type: 'regex', pattern: regex });
  if (formats.length > 1) {
    throw new TesseraError('REQUEST_INVALID', '--json-object, --schema and --regex exclude each other');
  }
  return formats[0];
}

async function readSchema(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (reason) {
    throw new TesseraError('REQUEST_INVALID', `${file} cannot be read as JSON: ${(reason as Error).message}`);
  }
}
