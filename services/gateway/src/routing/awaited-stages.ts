import type { Bus } from '@tessera/bus';
import { remainingMs } from '@tessera/flow';
import { durationOf, encodeQueue, Stage, TesseraError } from '@tessera/protocol';
import type { QueueAttendance } from '../admission/queue-attendance.js';
import type { AnswerEventBody } from '../answer/answer-event.js';
import type { RequestLifecycle } from '../answer/request-lifecycle.js';

/** What a request, or one choice of it, has others to do at this moment. */
export interface OutstandingWork {
  readonly requestId: string;
  /** It waits for an engine, and none is there. */
  readonly lacksEngine: boolean;
  /** Visual tokens are to come. */
  readonly tilesDue: boolean;
  /** A drawing is queued and not delivered. */
  readonly drawingsDue: boolean;
}

/** Told each time that a request begins to wait for a stage, or waits no more. */
export type AwaitedListener = (stage: Stage, waits: boolean) => void;

export interface AwaitedStagesOptions {
  readonly attendance: QueueAttendance;
  readonly bus: Pick<Bus, 'hasQueued'>;
  readonly lifecycle: RequestLifecycle;
  readonly put: (event: AnswerEventBody) => void;
  readonly onAwaited: AwaitedListener;
  /** Unix milliseconds. */
  readonly deadlineMs: number;
}

/** Ended this long before the deadline, so that the caller learns what was missing. */
const noticeMs = 250;
/** A timer takes no longer delay. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * The stages that one request waits for while nobody of them is there. Its jobs lie in their queues, where an autoscaler
 * sees them; its reader is told, and at the deadline the error is that of the stage. Dispose of it when the request ends.
 */
export class AwaitedStages implements Disposable {
  private works: readonly OutstandingWork[] = [];
  private told: readonly Stage[] = [];
  private looking = false;
  private again = false;
  private over = false;
  private readonly forget: () => void;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: AwaitedStagesOptions) {
    this.forget = options.attendance.onChange(() => this.look());
  }

  /**
   * Begins to look after these.
   * @param onMissed told, shortly before the deadline, of a stage that never came
   */
  watch(works: readonly OutstandingWork[], onMissed: (error: TesseraError) => void): void {
    this.works = works;
    const delayMs = Math.min(maxTimerMs, Math.max(0, remainingMs(this.options.deadlineMs) - noticeMs));
    this.timer = setTimeout(() => {
      // Whoever looks for an engine says himself that none came.
      const stage = this.told.find((each) => each !== Stage.LLM);
      if (stage !== undefined && !this.told.includes(Stage.LLM)) onMissed(missed(stage));
    }, delayMs);
  }

  /** Something has changed: work was sent, came back, or is waited for. */
  look(): void {
    if (this.over) return;
    const { attendance } = this.options;
    if (attendance.isComplete && this.told.length === 0 && !this.works.some(({ lacksEngine }) => lacksEngine)) return;
    this.again = true;
    if (this.looking) return;
    this.looking = true;
    void this.lookUntilSettled().finally(() => {
      this.looking = false;
    });
  }

  [Symbol.dispose](): void {
    this.over = true;
    clearTimeout(this.timer);
    this.forget();
    for (const stage of this.told) this.options.onAwaited(stage, false);
  }

  private async lookUntilSettled(): Promise<void> {
    while (this.again && !this.over) {
      this.again = false;
      this.tell(await this.find());
    }
  }

  /** In the order of the enum. */
  private async find(): Promise<Stage[]> {
    const { attendance, bus } = this.options;
    const lacksTiles = this.works.filter(({ tilesDue }) => tilesDue);
    const stages: Stage[] = [];
    if (attendance.isUnattended('encode') && lacksTiles.length > 0) {
      // Where all its tiles have left the encoder it is not the encoder that is waited for. What cannot be asked counts.
      const queued = lacksTiles.map(({ requestId }) => bus.hasQueued(encodeQueue, requestId).catch(() => true));
      if ((await Promise.all(queued)).includes(true)) stages.push(Stage.ENCODER);
    }
    if (attendance.isUnattended('connect') && lacksTiles.length > 0) stages.push(Stage.CONNECTOR);
    if (this.works.some(({ lacksEngine }) => lacksEngine)) stages.push(Stage.LLM);
    if (attendance.isUnattended('generate') && this.works.some(({ drawingsDue }) => drawingsDue)) {
      stages.push(Stage.GENERATOR);
    }
    return stages;
  }

  private tell(stages: readonly Stage[]): void {
    const { told } = this;
    if (this.over || (stages.length === told.length && stages.every((stage) => told.includes(stage)))) return;
    const { lifecycle, onAwaited, put } = this.options;
    for (const stage of stages) if (!told.includes(stage)) onAwaited(stage, true);
    for (const stage of told) if (!stages.includes(stage)) onAwaited(stage, false);
    this.told = stages;
    put({ $case: 'stagesAwaited', value: { stages: [...stages], at: durationOf(lifecycle.nowMs()) } });
  }
}

/** The word for a stage, as errors, metrics and docs write it. */
export function stageName(stage: Stage): string {
  return Stage[stage].toLowerCase();
}

function missed(stage: Stage): TesseraError {
  const name = stageName(stage);
  return new TesseraError(
    'STAGE_UNAVAILABLE',
    `no ${name} took up the request's work before its deadline; check that the ${name} service runs with this revision of the model, or is started when jobs wait, and reaches the same NATS`,
    { stage: name, retryAfterMs: 1000 },
  );
}
