import { readFile } from 'node:fs/promises';
import { preprocessingSchema } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

/** The version of what follows. */
export const profileFormat = 1;

const ms = z.number().min(0).max(1e9);
const count = z.int().min(1).max(1e9);
const money = z.number().min(0);

/** Milliseconds by how many are computed together: measured points, between which lines are drawn. */
const curve = z
  .array(z.strictObject({ size: count, ms }))
  .min(1)
  .max(64)
  .superRefine((points, context) => {
    points.forEach(({ size }, at) => {
      if (at > 0 && size <= (points[at - 1]?.size ?? 0)) {
        context.addIssue({ code: 'custom', path: [at, 'size'], message: 'is not above the one before it' });
      }
    });
  });
export type CostCurve = z.infer<typeof curve>;

/** What a replica of any stage is. */
const replica = {
  /** Cores that it may use at once: its machine's, or its limit. */
  cores: z.number().min(0.01).max(4096).default(1),
  /** From its creation until it takes work, in seconds: image, model, warm-up. */
  startSeconds: z.number().min(0).max(86_400).default(0),
  /** What it costs in an hour; absent: its cores, at `coreHour` each. */
  hour: money.optional(),
};

const tileStage = {
  ...replica,
  /** Of one batch, by its tiles. */
  batchMs: curve,
  maxBatch: count,
  /** How long a batch waits for tiles that are being prepared. */
  waitMs: ms,
  /** Jobs that a replica has in work at one time. */
  slots: count,
};

/** What a request, a token, a picture or a drawing takes beside what the stages compute. */
const overhead = z.strictObject({
  /** That it is longer by where nothing else runs: messages, wake-ups, what is read and written. */
  ms,
  /** How much that varies from one time to the next: the standard deviation of its logarithm. */
  sigma: z.number().min(0).max(3).default(0),
  /** Processor time of all processes for it, NATS included. */
  cpuMs: ms,
  /** How much of that is the gateway's. */
  gatewayCpuMs: ms,
});

const schema = z.strictObject({
  format: z.literal(profileFormat, { error: `must be ${profileFormat}, the format that this release reads` }),
  model: z.string().min(1),
  revision: z.string().min(1),
  measured: z.string().min(1),
  /** What a core costs in an hour, in whatever currency. */
  coreHour: money.default(1),
  /** Cores of the machine that it was measured on, all stages together. */
  machineCores: z.number().min(0.1).max(4096).default(1),
  /** Tokens of the prompt for each tile, and for what stands around a picture. */
  tokensPerTile: z.int().min(0),
  tokensPerPicture: z.int().min(0),
  /** How pictures are cut into tiles; of the model's bundle. */
  preprocessing: preprocessingSchema.optional(),
  gateway: z.strictObject({ ...replica, maxInFlight: count }),
  encoder: z
    .strictObject({
      ...tileStage,
      /** Reading and decoding a picture, once for each of its jobs, and by its millions of pixels. */
      pictureMs: ms,
      megapixelMs: ms,
      /** Making a tile ready for the network. */
      tileMs: ms,
      tilesPerJob: count,
    })
    .optional(),
  connector: z.strictObject(tileStage).optional(),
  llm: z.strictObject({
    ...replica,
    /** Of one chunk of a prompt, by its tokens. */
    prefillMs: curve,
    /** Of one step in which so many sequences get a token each. */
    decodeMs: curve,
    /** That a step takes longer for each thousand positions of the sequences that decode. */
    contextMs: ms,
    /**
     * That a step with a prompt takes longer than the prompt and the answers do apart, by the answers: the cache gets a slot
     * more, and its calls are of two kinds. Absent: nothing.
     */
    joinMs: curve.optional(),
    maxRunning: count,
    maxWaiting: z.int().min(0),
    maxWaitingForTiles: count,
    maxStepTokens: count,
    maxChunkTokens: count,
    /** Positions that the KV cache may have, all sequences as long as the longest. */
    kvTokens: count,
    /** What one position takes; for people. */
    kvTokenBytes: z.int().min(0),
  }),
  generator: z
    .strictObject({
      ...replica,
      /** Of one denoising step, by the drawings that it advances. */
      stepMs: curve,
      maxBatch: count,
      slots: count,
      defaultSteps: count,
    })
    .optional(),
  request: overhead,
  /**
   * That a request's way to its engine takes longer than alone, by the answers that are being written: the threads on its way
   * have their tokens to hand on. Absent: nothing.
   */
  besideMs: curve.optional(),
  /** How much its way varies then: the standard deviation of its logarithm. */
  besideSigma: z.number().min(0).max(3).default(0),
  /** From an answer's last token to its end, where nothing is drawn. */
  finishMs: ms.default(0),
  token: overhead,
  picture: overhead,
  /** Of a picture's transport, for a million of its pixels. */
  megapixel: overhead,
  drawing: overhead,
});

/** What was measured of a deployment: all that its simulation needs. Times are those of one core that does nothing else. */
export type Profile = z.infer<typeof schema>;

/** The stages that have replicas, in the order of a request's way. */
export const stageNames = ['gateway', 'encoder', 'connector', 'llm', 'generator'] as const;
export type StageName = (typeof stageNames)[number];

/** The stages that this deployment has. */
export function stagesOf(profile: Profile): StageName[] {
  return stageNames.filter((name) => profile[name] !== undefined);
}

/** What a replica of a stage costs in an hour. */
export function hourOf(profile: Profile, stage: StageName): number {
  const { hour, cores = 1 } = profile[stage] ?? {};
  return hour ?? cores * profile.coreHour;
}

/** @throws TesseraError CONFIG_INVALID naming what is wrong */
export function parseProfile(text: string, name = 'the profile'): Profile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `${name} is not JSON`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const why = z.prettifyError(parsed.error).replaceAll('\n', ' ');
  throw new TesseraError('CONFIG_INVALID', `${name} is no profile of tessera profile: ${why}`, { cause: parsed.error });
}

const maxProfileBytes = 1 << 20;

/** @throws TesseraError CONFIG_INVALID */
export async function readProfile(file: string): Promise<Profile> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  if (text.length > maxProfileBytes) {
    throw new TesseraError('CONFIG_INVALID', `${file} has more than ${maxProfileBytes} bytes, and is no profile`);
  }
  return parseProfile(text, file);
}
