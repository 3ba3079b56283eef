import { remainingMs } from '@tessera/flow';
import { type JobKind, TesseraError } from '@tessera/protocol';
import type { EnginePool } from '../routing/engine-pool.js';
import { AnswerTimes, type WrittenAnswer } from './answer-times.js';
import { DrawingShare } from './drawing-share.js';
import { FlowEstimate } from './flow-estimate.js';
import { type DoneJob, QueueEstimate, type QueueSample } from './queue-estimate.js';

export interface AdmissionOptions {
  readonly engines: Pick<EnginePool, 'outlook' | 'reserve'>;
  /** What a time that is expected is multiplied by before it is held against the deadline; 0 looks at no times. */
  readonly safety: number;
  /** The steps of a drawing that says nothing else; undefined for a model that does not draw. */
  readonly drawSteps: number | undefined;
}

/** What a request says of the work that it will be. */
export interface RequestOutline {
  readonly hasMedia: boolean;
  readonly maxTokens: number | undefined;
  /** Whether it says how to draw. */
  readonly asksToDraw: boolean;
  readonly drawSteps: number | undefined;
  /** Unix milliseconds. */
  readonly deadlineMs: number;
}

/** A request on its way. Dispose of it when it has ended. */
export interface AdmittedRequest extends Disposable {
  /**
   * Its media are whole, and it is about to send so many encode jobs, which may be none. Until then it held no place: an
   * upload may be slow.
   * @throws TesseraError QUEUE_FULL when they would be done too late, or no engine has room any more
   */
  encodes(jobs: number): void;
  /** It has an engine, which counts it from here on. */
  placed(): void;
  /** An engine has queued a drawing. @throws TesseraError QUEUE_FULL when it would be done too late */
  drawingQueued(): void;
  /** Its text is complete. */
  written(answer: WrittenAnswer): void;
  /** A stage has done its part of a tile. */
  tileMade(kind: 'encode' | 'connect', job: DoneJob): void;
  /** A drawing came whole. */
  drawn(job: DoneJob): void;
}

/** Refusals say at least this: sooner nothing changes. */
const leastRetryMs = 100;

/**
 * Decides at the door whether a request can be answered by its deadline, from what waits in each stage and how fast it
 * leaves. One that cannot is refused before anything is done for it, and told how long the queue needs.
 */
export class RequestAdmission {
  private readonly answers = new AnswerTimes();
  private readonly texts = new FlowEstimate();
  private readonly queues = {
    encode: new QueueEstimate(),
    connect: new QueueEstimate(),
    generate: new QueueEstimate(),
  } satisfies Record<JobKind, QueueEstimate>;
  /** Queues that nobody takes jobs from. */
  private readonly deserts = new Set<JobKind>();
  private readonly share = new DrawingShare();
  /** The fastest that a step of a drawing was; 0 while none is known. */
  private leastStepMs = 0;
  /** Requests admitted that are likely to draw and have not yet. */
  private drawingsToCome = 0;

  constructor(private readonly options: AdmissionOptions) {}

  /** Takes in what a queue holds. */
  sampled(kind: JobKind, sample: QueueSample, nowMs = performance.now()): void {
    this.deserts.delete(kind);
    this.queues[kind].sampled(sample, nowMs);
  }

  /** Takes in what a queue holds that nobody takes jobs from. */
  deserted(kind: JobKind, sample: QueueSample, nowMs = performance.now()): void {
    this.deserts.add(kind);
    this.queues[kind].deserted(sample, nowMs);
  }

  /**
   * How long all that the engines hold will take them, for those who find them full.
   * @param arriving requests that have come and are not decided on
   */
  engineRetryMs(arriving = 0): number {
    const outlook = this.options.engines.outlook();
    return retryMs(this.answers.drainMs({ ...outlook, load: Math.min(outlook.places, outlook.load + arriving) }));
  }

  /** @throws TesseraError QUEUE_FULL, with the time until it is worth trying again */
  admit(request: RequestOutline): AdmittedRequest {
    this.refuseFull();
    const draws = this.options.drawSteps !== undefined && this.share.isLikely(request.asksToDraw);
    const outlook = this.options.engines.outlook();
    // Pictures that are on their way come before this one.
    const ahead = request.hasMedia ? { ...outlook, load: outlook.load + outlook.awaitingTiles } : outlook;
    const { alone, inCompany } = this.answers.answerMs(request.maxTokens, ahead);
    const flowMs = this.texts.expectedMs(this.isFull, performance.now());
    const waitMs = Math.max(this.answers.waitMs(ahead) + inCompany, flowMs - alone);
    const answer: StageTime = { stage: 'llm', waitMs, workMs: alone };
    const tiles = request.hasMedia ? this.tiles(1) : nothing;
    // Tiles are made while the request waits for its slot.
    const times = tiles.waitMs > answer.waitMs ? [tiles, { ...answer, waitMs: Math.min(inCompany, waitMs) }] : [answer];
    if (draws) times.push(this.drawing(request, 1 + this.drawingsToCome));
    refuseLate(times, request.deadlineMs, this.options.safety);
    return this.admitted(request, draws);
  }

  private admitted(request: RequestOutline, draws: boolean): AdmittedRequest {
    let place: Disposable | undefined;
    let drawingToCome = false;
    let drawings = 0;
    let isUnderWay = false;
    const textEnded = (isComplete: boolean): void => {
      if (isUnderWay) this.texts.ended(isComplete, this.isFull);
      isUnderWay = false;
    };
    const hold = (): void => {
      place = this.options.engines.reserve();
      this.texts.began();
      isUnderWay = true;
      drawingToCome = draws;
      if (drawingToCome) this.drawingsToCome++;
    };
    const noDrawingToCome = (): void => {
      if (drawingToCome) this.drawingsToCome--;
      drawingToCome = false;
    };
    if (!request.hasMedia) hold();
    return {
      encodes: (jobs) => {
        this.refuseFull();
        if (jobs > 0) refuseLate([this.tiles(jobs)], request.deadlineMs, this.options.safety);
        hold();
        this.queues.encode.sent(jobs);
      },
      placed: () => place?.[Symbol.dispose](),
      drawingQueued: () => {
        noDrawingToCome();
        drawings++;
        const expected = this.drawing(request, 1);
        this.queues.generate.sent();
        refuseLate([expected], request.deadlineMs, this.options.safety);
        const leftMs = remainingMs(request.deadlineMs);
        if (this.options.safety > 0 && expected.workMs > leftMs) {
          const message = `a drawing takes ${Math.round(expected.workMs)} ms, and ${Math.round(leftMs)} ms are left`;
          throw new TesseraError('DEADLINE_EXCEEDED', message, { stage: 'generator' });
        }
      },
      written: (answer) => {
        textEnded(true);
        noDrawingToCome();
        this.answers.written(answer);
        this.share.ended(request.asksToDraw, drawings > 0);
      },
      tileMade: (kind, job) => this.queues[kind].done(job),
      drawn: (job) => {
        this.queues.generate.done(job);
        const steps = request.drawSteps ?? this.options.drawSteps;
        const stepMs = steps === undefined ? 0 : job.busyMs / steps;
        // By itself, in no company: what others cost it is seen in the queue.
        if (stepMs > 0 && (this.leastStepMs === 0 || stepMs < this.leastStepMs)) this.leastStepMs = stepMs;
      },
      [Symbol.dispose]: () => {
        place?.[Symbol.dispose]();
        textEnded(false);
        noDrawingToCome();
      },
    };
  }

  /**
   * Without any engine it is not known how many there will be room for.
   * @throws TesseraError REQUEST_INVALID when all engines together never have room for so many choices: no retry helps
   */
  refuseUnplaceable(choices: number): void {
    const { places } = this.options.engines.outlook();
    if (places === 0 || choices <= places) return;
    throw TesseraError.invalidField(
      'choices',
      `is ${choices}; each is a sequence, and all llm engines together admit ${places}`,
    );
  }

  /**
   * Without any engine they are not full: one may come, which is for the pool to say.
   * @param arriving requests that have come and are not decided on
   * @throws TesseraError QUEUE_FULL when no engine has room for any request
   */
  refuseFull(arriving = 0): void {
    const { places, load } = this.options.engines.outlook();
    if (places === 0 || load + arriving < places) return;
    throw new TesseraError(
      'QUEUE_FULL',
      `every llm engine is full: ${load + arriving} sequences are admitted or about to be, and ${places} is the limit`,
      { retryAfterMs: this.engineRetryMs(arriving), stage: 'llm' },
    );
  }

  /** Whether every slot of the engines has a sequence, or will have one. */
  private get isFull(): boolean {
    const { slots, load, awaitingTiles } = this.options.engines.outlook();
    // Tiles that nobody makes do not come for a while: who waits for them leaves the slots to others.
    const tilesCome = !this.deserts.has('encode') && !this.deserts.has('connect');
    return load + (tilesCome ? awaitingTiles : 0) >= slots;
  }

  private tiles(jobs: number): StageTime {
    const waitMs = this.queues.encode.expectedMs(jobs) + this.queues.connect.expectedMs(jobs);
    return { stage: 'encoder', waitMs, workMs: 0 };
  }

  /** The last of so many drawings that are queued now. */
  private drawing({ drawSteps = this.options.drawSteps ?? 0 }: RequestOutline, drawings: number): StageTime {
    const workMs = drawSteps * this.leastStepMs;
    const waitMs = Math.max(0, this.queues.generate.expectedMs(drawings) - workMs);
    return { stage: 'generator', waitMs, workMs };
  }
}

interface StageTime {
  readonly stage: string;
  /** Because of others. */
  readonly waitMs: number;
  /** However little there is to do. */
  readonly workMs: number;
}

const nothing: StageTime = { stage: '', waitMs: 0, workMs: 0 };

/** Only a wait makes a request late here: how long its own answer will be nobody knows. */
function refuseLate(times: readonly StageTime[], deadlineMs: number, safety: number): void {
  const leftMs = remainingMs(deadlineMs);
  const waitMs = safety * sum(times.map((time) => time.waitMs));
  const workMs = safety * sum(times.map((time) => time.workMs));
  const expectedMs = workMs <= leftMs ? waitMs + workMs : waitMs;
  if (waitMs === 0 || expectedMs <= leftMs) return;
  const { stage } = times.reduce((most, time) => (time.waitMs > most.waitMs ? time : most), nothing);
  throw new TesseraError(
    'QUEUE_FULL',
    `the ${stage} has so much to do that the answer is expected in ${Math.round(expectedMs)} ms, and ${Math.round(leftMs)} ms are left`,
    { retryAfterMs: retryMs(expectedMs - leftMs), stage },
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function retryMs(ms: number): number {
  return Math.max(leastRetryMs, Math.ceil(ms));
}
