import { costOf, type Profile, type StageName } from '@tessera/adviser';
import { planTiles } from '@tessera/media/plan-tiles';
import { type Asked, newPicture } from './asker.js';
import type { MeasuredGenerator } from './measure-generator.js';
import type { MeasuredLlm } from './measure-llm.js';
import type { Measuring } from './measuring.js';
import type { Spent } from './meter.js';
import { median, repeat, round, sigmaOf, together } from './statistics.js';

type Overheads = Pick<
  Profile,
  'request' | 'finishMs' | 'token' | 'picture' | 'megapixel' | 'drawing' | 'tokensPerPicture'
>;
type Preparing = Pick<NonNullable<Profile['encoder']>, 'pictureMs' | 'megapixelMs' | 'tileMs'>;

export interface MeasuredOverheads extends Overheads {
  readonly preparing: Preparing | undefined;
}

export interface OverheadsOf {
  readonly llm: MeasuredLlm;
  readonly tokensPerTile: number;
  readonly generator: MeasuredGenerator | undefined;
  /** A question that the model answers with a drawing. */
  readonly drawingPrompt: string;
}

const nothing = { ms: 0, sigma: 0, cpuMs: 0, gatewayCpuMs: 0 };
/** Of a short prompt. */
export const words = 8;
const drawingSteps = 2;
/** Pictures of some megapixels. */
const large = { width: 1600, height: 1200 };

/** What requests, tokens, pictures and drawings take beside the stages' computations: each asked for alone, through the gateway. */
export async function measureOverheads(measuring: Measuring, of: OverheadsOf): Promise<MeasuredOverheads> {
  const { asker, meter, times, tell, manifest } = measuring;
  tell('what the processes do by themselves');
  await meter.calibrate();
  tell('short requests');
  const { asked: texts, spent: ofTexts } = await asking(measuring, times(40), () => asker.ask({ words, tokens: 1 }));
  const around = texts.map((each) => each.firstMs - each.spent('llm', 'queue') - each.spent('llm', 'prefill'));
  const request = {
    ms: round(median(around)),
    sigma: sigmaOf(around),
    cpuMs: round(cpuBeside(ofTexts, ['llm']) / texts.length),
    gatewayCpuMs: round((ofTexts.cpuMs.get('gateway') ?? 0) / texts.length),
  };
  tell('tokens');
  const writing = { words, tokens: 64 };
  let written: Asked[] = [];
  const ofTokens = await meter.during(async () => {
    written = (await repeat(times(10), () => together(2, () => asker.ask(writing)))).flat();
  });
  // Of answers of one token the end comes with it.
  const finishMs = round(median(written.map(({ endMs, lastTextMs }) => endMs - lastTextMs)));
  const tokens = written.length * (writing.tokens - 1);
  const perToken = (all: number, each: number): number => round((all - written.length * each) / tokens);
  const token = {
    ms: 0,
    sigma: 0,
    cpuMs: perToken(cpuBeside(ofTokens, ['llm']), request.cpuMs),
    gatewayCpuMs: perToken(ofTokens.cpuMs.get('gateway') ?? 0, request.gatewayCpuMs),
  };
  const textTokens = median(texts.map(({ inputTokens }) => inputTokens));
  const sees = manifest.encoder !== undefined && manifest.preprocessing !== undefined;
  const pictures = sees ? await ofPictures(measuring, of, request, textTokens) : undefined;
  const drawing =
    of.generator === undefined ? nothing : await ofDrawings(measuring, of.generator, of.drawingPrompt, request, token);
  return {
    request,
    finishMs,
    token,
    picture: pictures?.picture ?? nothing,
    megapixel: pictures?.megapixel ?? nothing,
    drawing,
    tokensPerPicture: pictures?.tokensPerPicture ?? 0,
    preparing: pictures?.preparing,
  };
}

/** Asks so many times, one after the other, and says what that took. */
async function asking(
  { meter }: Measuring,
  count: number,
  ask: () => Promise<Asked>,
): Promise<{ asked: Asked[]; spent: Spent }> {
  let asked: Asked[] = [];
  const spent = await meter.during(async () => {
    asked = await repeat(count, ask);
  });
  return { asked, spent };
}

/** Processor time of all processes that was not computing of these stages' networks. */
function cpuBeside({ cpuMs, busyMs }: Spent, stages: readonly StageName[]): number {
  const all = [...cpuMs.values()].reduce((sum, ms) => sum + ms, 0);
  return stages.reduce((rest, stage) => rest - busyMs(stage), all);
}

/** Milliseconds of preparing a picture's tiles, by what the encoder says of its work and its batches. */
interface Prepared {
  readonly megapixels: number;
  readonly tiles: number;
  readonly prepareMs: number;
}

async function ofPictures(
  measuring: Measuring,
  { llm, tokensPerTile }: OverheadsOf,
  request: Profile['request'],
  textTokens: number,
): Promise<Pick<Overheads, 'picture' | 'megapixel' | 'tokensPerPicture'> & { preparing: Preparing }> {
  const { asker, times, tell, manifest } = measuring;
  const { inputSize } = manifest.encoder as NonNullable<typeof manifest.encoder>;
  const { preprocessing } = manifest;
  const ask = async (size: { width: number; height: number }, count: number) => {
    tell(`pictures of ${size.width} x ${size.height}`);
    const pictures = await repeat(count, () => newPicture(size.width, size.height));
    const { asked, spent } = await asking(measuring, count, () =>
      asker.ask({ words, pictures: pictures.splice(0, 1), tokens: 1 }),
    );
    const { tiles } = planTiles(size, preprocessing as NonNullable<typeof preprocessing>);
    const { count: batches } = spent.batches('encoder');
    const batchMs = batches === 0 ? 0 : spent.busyMs('encoder') / batches;
    const prepareMs = median(asked.map((each) => each.spent('encoder', 'encode'))) - tiles.length * batchMs;
    const prepared: Prepared = { megapixels: (size.width * size.height) / 1e6, tiles: tiles.length, prepareMs };
    return { asked, spent, prepared };
  };
  const small = await ask(inputSize, times(20));
  const double = await ask({ width: 2 * inputSize.width, height: 2 * inputSize.height }, times(6));
  const huge = await ask(large, times(6));
  const preparing = preparingOf(small.prepared, double.prepared, huge.prepared);
  const tokens = median(small.asked.map(({ inputTokens }) => inputTokens)) - textTokens;
  const prefillMs = costOf(llm.prefillMs);
  // Of each picture, what is neither its stages' work nor the request's.
  const timesOf = ({ asked }: typeof small): number[] =>
    asked.map((one) => {
      const stages = one.spent('encoder', 'encode') + one.spent('connector', 'connect');
      return one.firstMs - stages - prefillMs(one.inputTokens - one.cachedTokens) - request.ms;
    });
  const beside = (each: typeof small) => ({
    ms: median(timesOf(each)),
    cpuMs:
      cpuBeside(each.spent, ['encoder', 'connector', 'llm']) / each.asked.length -
      request.cpuMs -
      each.prepared.prepareMs,
    gatewayCpuMs: (each.spent.cpuMs.get('gateway') ?? 0) / each.asked.length - request.gatewayCpuMs,
  });
  const [ofSmall, ofHuge] = [beside(small), beside(huge)];
  const more = huge.prepared.megapixels - small.prepared.megapixels;
  const slope = (of: keyof typeof ofSmall): number => Math.max(0, (ofHuge[of] - ofSmall[of]) / more);
  const megapixel = {
    ms: round(slope('ms')),
    sigma: 0,
    cpuMs: round(slope('cpuMs')),
    gatewayCpuMs: round(slope('gatewayCpuMs')),
  };
  const least = (of: keyof typeof ofSmall): number => round(ofSmall[of] - small.prepared.megapixels * megapixel[of]);
  return {
    picture: {
      ms: least('ms'),
      sigma: sigmaOf(timesOf(small)),
      cpuMs: least('cpuMs'),
      gatewayCpuMs: least('gatewayCpuMs'),
    },
    megapixel,
    tokensPerPicture: Math.max(0, Math.round(tokens - small.prepared.tiles * tokensPerTile)),
    preparing,
  };
}

/** A picture, a million of its pixels, and a tile: by three pictures of different sizes. */
function preparingOf(small: Prepared, double: Prepared, huge: Prepared): Preparing {
  const more = (each: Prepared) => ({
    tiles: each.tiles - small.tiles,
    megapixels: each.megapixels - small.megapixels,
    ms: each.prepareMs - small.prepareMs,
  });
  const [a, b] = [more(double), more(huge)];
  const determinant = a.tiles * b.megapixels - b.tiles * a.megapixels;
  const tileMs = determinant === 0 ? 0 : Math.max(0, (a.ms * b.megapixels - b.ms * a.megapixels) / determinant);
  const megapixelMs = Math.max(0, (b.ms - b.tiles * tileMs) / b.megapixels);
  const pictureMs = small.prepareMs - small.tiles * tileMs - small.megapixels * megapixelMs;
  return { pictureMs: round(pictureMs), megapixelMs: round(megapixelMs), tileMs: round(tileMs) };
}

async function ofDrawings(
  measuring: Measuring,
  { stepMs, aroundMs }: MeasuredGenerator,
  prompt: string,
  request: Profile['request'],
  token: Profile['token'],
): Promise<Profile['drawing']> {
  const { asker, times, tell } = measuring;
  tell('drawings');
  const { asked, spent } = await asking(measuring, times(10), () =>
    asker.ask({ words: prompt, tokens: 64, free: true, drawingSteps }),
  );
  const drawn = asked.filter(({ pictures }) => pictures > 0);
  if (drawn.length < asked.length) {
    tell(
      `"${prompt}" was not answered with a drawing (--drawing-prompt); what surrounds one is taken from the generator alone`,
    );
    return { ms: round(aroundMs), sigma: 0, cpuMs: round(aroundMs), gatewayCpuMs: 0 };
  }
  const written = drawn.reduce((sum, { outputTokens }) => sum + outputTokens, 0) / drawn.length;
  const one = stepMs[0]?.ms ?? 0;
  const around = drawn.map(({ endMs, lastTextMs }) => endMs - lastTextMs - drawingSteps * one);
  return {
    ms: round(median(around)),
    sigma: sigmaOf(around),
    cpuMs: round(cpuBeside(spent, ['llm', 'generator']) / drawn.length - request.cpuMs - written * token.cpuMs),
    gatewayCpuMs: round(
      (spent.cpuMs.get('gateway') ?? 0) / drawn.length - request.gatewayCpuMs - written * token.gatewayCpuMs,
    ),
  };
}
