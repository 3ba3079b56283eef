import { type Bus, EngineRoster, type ProductInbox } from '@tessera/bus';
import { testBus } from '@tessera/bus/testing/test-bus';
import { EventQueue, linkedAbort } from '@tessera/flow';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  type DrawingEvent,
  drawingEvents,
  type JobKind,
  Modality,
  type PromptMessage,
  SegmentRole,
  type TesseraError,
  TextOptions,
  WeightFormat,
} from '@tessera/protocol';
import { AdmittedChoices } from '../admission/admitted-choices.js';
import type { WrittenAnswer } from '../admission/answer-times.js';
import { ClientLimits } from '../admission/client-limits.js';
import { QueueAttendance } from '../admission/queue-attendance.js';
import type { DoneJob } from '../admission/queue-estimate.js';
import { RequestAdmission } from '../admission/request-admission.js';
import { UploadShares } from '../admission/upload-shares.js';
import type { AnswerEventBody } from '../answer/answer-event.js';
import { RequestLifecycle } from '../answer/request-lifecycle.js';
import { Chat, type ChatDependencies, type ChatLimits } from '../chat.js';
import { MediaBudget } from '../intake/media-intake.js';
import type { PlannedItem } from '../intake/media-plan.js';
import type { AwaitedListener } from '../routing/awaited-stages.js';
import { EnginePool } from '../routing/engine-pool.js';
import { beginnings, PrefixAffinity } from '../routing/prefix-affinity.js';
import { RoutedChoices } from '../routing/routed-choices.js';
import { type Script, ScriptedEngine } from './scripted-engine.js';

/** What is worth saying of a request in a test. */
export interface Asked {
  readonly items?: readonly PlannedItem[];
  readonly leftMs?: number;
  readonly on?: Bus;
  readonly messages?: PromptMessage[];
  readonly choices?: number;
  readonly seed?: bigint;
  readonly signal?: AbortSignal;
  readonly onAwaited?: AwaitedListener;
  /** Told each event of the answer as it comes. */
  readonly onEvent?: (event: AnswerEventBody) => void;
}

/** What came of it. */
export interface Answered {
  readonly events: AnswerEventBody[];
  /** Of the first choice. */
  readonly text: string;
  readonly error?: TesseraError;
  readonly attempts: number;
  /** What the admission was told of the choices' texts. */
  readonly written: WrittenAnswer[];
  /** What it was told that other stages measured. */
  readonly measured: [kind: JobKind, job: DoneJob][];
}

const roomyLimits: ChatLimits = {
  messages: 10,
  textCharacters: 1000,
  mediaItems: 4,
  itemBytes: 100_000,
  partBytes: 10_000,
  mediaPixels: 1e6,
  stopTexts: 4,
  maxSteps: 50,
  maxGuidance: 8,
  maxPriority: 0,
  choices: 4,
  requests: 10,
  tilesPerJob: 4,
  attempts: 3,
  pauseMs: 60_000,
};

/** Requests on their way to scripted engines, over a NATS server of their own. */
export class RoutingFixture {
  roster = new EngineRoster();
  affinity = new PrefixAffinity(100);
  readonly attendance = new QueueAttendance();
  pool = this.newPool();
  private readonly engines: ScriptedEngine[] = [];
  private nextId = 0;

  private constructor(
    private readonly server: NatsServer,
    readonly bus: Bus,
    /** One whose encode queue takes a single job. */
    readonly narrow: Bus,
    private readonly inboxes: ReadonlyMap<Bus, ProductInbox<DrawingEvent>>,
  ) {}

  static async start(): Promise<RoutingFixture> {
    const server = await startNatsServer();
    const bus = await testBus(server.url);
    const narrow = await testBus(server.url, { limits: { maxJobs: 1, queueWaitMs: 20 } });
    const inboxes = new Map<Bus, ProductInbox<DrawingEvent>>();
    for (const each of [bus, narrow]) inboxes.set(each, await each.openInbox(drawingEvents));
    return new RoutingFixture(server, bus, narrow, inboxes);
  }

  /**
   * Ends all engines, and forgets what was known of them. Between two tests nothing is under way.
   * @throws Error when a request that has ended still listens for generators
   */
  async reset(): Promise<void> {
    this.pool.close();
    for (const engine of this.engines.splice(0)) await engine.stop();
    this.roster = new EngineRoster();
    this.affinity = new PrefixAffinity(100);
    this.attendance.sampled(new Set());
    this.pool = this.newPool();
    const open = [...this.inboxes.values()].reduce((sum, { size }) => sum + size, 0);
    if (open > 0) throw new Error(`${open} requests have ended and still listen for generators`);
  }

  async close(): Promise<void> {
    await this.reset();
    this.pool.close();
    await this.narrow.close();
    await this.bus.close();
    await this.server.stop();
  }

  /** An engine that announces itself once. */
  async engine(name: string, ...scripts: Script[]): Promise<ScriptedEngine> {
    const started = await ScriptedEngine.start(name, ...scripts);
    this.engines.push(started);
    this.roster.heard(started.status);
    return started;
  }

  /** Announces again an engine that was lost, as a live one does. */
  announceAgain(...live: ScriptedEngine[]): () => void {
    return this.roster.onChange(({ status }, news) => {
      const back = live.find((each) => each.status.engineId === status.engineId);
      if (news === 'forgotten' && back !== undefined) setTimeout(() => this.roster.heard(back.status), 10);
    });
  }

  /** Where the drawings are sent of what runs on the ordinary bus. */
  get drawingsTo(): string {
    return this.inboxes.get(this.bus)?.address ?? '';
  }

  async run({
    items = [],
    leftMs = 60_000,
    on = this.bus,
    messages = [],
    choices = 1,
    seed = 1n,
    signal,
    onAwaited = () => undefined,
    onEvent = () => undefined,
  }: Asked = {}): Promise<Answered> {
    const requestId = `request-${this.nextId++}`;
    const deadlineMs = Date.now() + leftMs;
    let attempts = 1;
    const conversation = { messages, templateArguments: undefined };
    const answer = new EventQueue<AnswerEventBody>();
    const admission = new RequestAdmission({ engines: this.pool, safety: 0, drawSteps: undefined });
    const outline = {
      hasMedia: items.length > 0,
      maxTokens: undefined,
      asksToDraw: false,
      drawSteps: undefined,
      deadlineMs,
    };
    using admitted = new AdmittedChoices(admission, outline, choices);
    const written: WrittenAnswer[] = [];
    const measured: Answered['measured'] = [];
    for (const each of admitted.each) {
      const told = { ...each };
      each.written = (text) => {
        written.push(text);
        told.written(text);
      };
      each.tileMade = (kind, job) => {
        measured.push([kind, job]);
        told.tileMade(kind, job);
      };
      each.drawn = (job) => {
        measured.push(['generate', job]);
        told.drawn(job);
      };
    }
    const begun = beginnings(
      'c',
      conversation,
      items.map(({ digest }) => digest),
    );
    const request = new RoutedChoices(
      {
        requestId,
        client: 'c',
        priority: 0,
        conversation,
        beginnings: begun,
        items,
        text: { ...TextOptions.fromPartial({}), seed },
        draw: { seed },
        deadlineMs,
      },
      answer,
      {
        bus: on,
        drawings: this.inboxes.get(on) as ProductInbox<DrawingEvent>,
        engines: this.pool,
        affinity: this.affinity,
        known: this.affinity.find(begun),
        lifecycle: new RequestLifecycle(() => undefined),
        admitted,
        tilesPerJob: 4,
        maxAttempts: 3,
        attendance: this.attendance,
        onAwaited,
        onAttempt: () => {
          attempts++;
        },
      },
    );
    const events: AnswerEventBody[] = [];
    let error: TesseraError | undefined;
    using stop = linkedAbort(signal);
    try {
      request.run(stop.signal).then(
        () => answer.end(),
        (reason) => answer.fail(reason),
      );
      for await (const event of answer) {
        events.push(event);
        onEvent(event);
      }
    } catch (reason) {
      error = reason as TesseraError;
    }
    stop.abort();
    const text = textOf(events, 0);
    return { events, text, attempts, written, measured, ...(error === undefined ? {} : { error }) };
  }

  /** The gateway's core in front of these engines. */
  chat(limits: Partial<ChatLimits>, own: Pick<ChatDependencies, 'media' | 'onEnd'> & Partial<ChatDependencies>): Chat {
    return new Chat({
      bus: this.bus,
      drawings: this.inboxes.get(this.bus) as ProductInbox<DrawingEvent>,
      engines: this.pool,
      model: { name: 'toy', revision: 'r1', weights: WeightFormat.FLOAT32 },
      canDraw: true,
      limits: { ...roomyLimits, ...limits },
      admission: new RequestAdmission({ engines: this.pool, safety: 0, drawSteps: undefined }),
      attendance: this.attendance,
      clients: new ClientLimits({ requests: 100, bytes: 1e6 }, new MediaBudget(1e6)),
      uploads: new UploadShares({ bytes: 1e6 }),
      onState: () => undefined,
      onAwaited: () => undefined,
      onAttempt: () => undefined,
      ...own,
    });
  }

  private newPool(): EnginePool {
    // The first of two is chosen while they are alike.
    return new EnginePool(this.roster, { waitMs: 60_000, expectMs: 60_000, retryAfterMs: () => 1, random: () => 0 });
  }
}

export function textOf(events: readonly AnswerEventBody[], choice: number): string {
  return events
    .map((event) => (event.$case === 'textDelta' && event.value.choice === choice ? event.value.text : ''))
    .join('');
}

export function picture(tiles: number): PlannedItem {
  return {
    item: 0,
    declared: 0,
    name: 'a',
    modality: Modality.IMAGE,
    size: { width: 10, height: 10 },
    tiles,
    bytes: new Uint8Array([1, 2, 3]),
    digest: 'd',
    segments: Array.from({ length: tiles }, () => ({ role: SegmentRole.PART, tokenCount: 4 })),
  };
}
