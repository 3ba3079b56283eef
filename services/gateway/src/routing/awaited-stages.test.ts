import { Stage } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { QueueAttendance } from '../admission/queue-attendance.js';
import { RequestLifecycle } from '../answer/request-lifecycle.js';
import { AwaitedStages, type OutstandingWork } from './awaited-stages.js';

type Kinds = Parameters<QueueAttendance['sampled']>[0] extends ReadonlySet<infer Kind> ? Kind[] : never;

const { ENCODER, CONNECTOR, LLM, GENERATOR } = Stage;
const idle: OutstandingWork = { requestId: 'r', lacksEngine: false, tilesDue: false, drawingsDue: false };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** One request, what it is told, and what others count of it. */
class Watched implements Disposable {
  readonly attendance = new QueueAttendance();
  /** The requests that have a job in the encoders' queue; undefined: it cannot be found out. */
  queued: ReadonlySet<string> | undefined = new Set(['r']);
  /** What its reader was told, each time. */
  readonly told: Stage[][] = [];
  readonly counted: [stage: Stage, waits: boolean][] = [];
  missed: unknown;
  private readonly awaited: AwaitedStages;

  constructor(private works: OutstandingWork[] = [idle]) {
    this.awaited = new AwaitedStages({
      attendance: this.attendance,
      bus: {
        hasQueued: async (_queue, requestId) => {
          if (this.queued === undefined) throw new Error('NATS is away');
          return this.queued.has(requestId);
        },
      },
      lifecycle: new RequestLifecycle(() => undefined),
      put: (event) => {
        if (event.$case === 'stagesAwaited') this.told.push(event.value.stages);
      },
      onAwaited: (...change) => this.counted.push(change),
      deadlineMs: Date.now() + 10_000,
    });
    const live = this.works.map((_, at) => this.live(at));
    this.awaited.watch(live, (error) => {
      this.missed = error;
    });
  }

  /** Nobody takes these queues' jobs. */
  async desert(...kinds: Kinds): Promise<void> {
    for (let look = 0; look < 2; look++) this.attendance.sampled(new Set(kinds));
    await vi.advanceTimersByTimeAsync(0);
  }

  async work(...works: Partial<OutstandingWork>[]): Promise<void> {
    this.works = works.map((each) => ({ ...idle, ...each }));
    this.awaited.look();
    await vi.advanceTimersByTimeAsync(0);
  }

  [Symbol.dispose](): void {
    this.awaited[Symbol.dispose]();
  }

  private live(at: number): OutstandingWork {
    const now = () => this.works[at] ?? idle;
    return {
      get requestId() {
        return now().requestId;
      },
      get lacksEngine() {
        return now().lacksEngine;
      },
      get tilesDue() {
        return now().tilesDue;
      },
      get drawingsDue() {
        return now().drawingsDue;
      },
    };
  }
}

test.each<[what: string, work: Partial<OutstandingWork>, stages: Stage[]]>([
  ['tiles', { tilesDue: true }, [ENCODER, CONNECTOR]],
  ['a drawing', { drawingsDue: true }, [GENERATOR]],
  ['an engine', { lacksEngine: true }, [LLM]],
  ['all', { tilesDue: true, drawingsDue: true, lacksEngine: true }, [ENCODER, CONNECTOR, LLM, GENERATOR]],
])('where nobody takes any jobs, one that waits for %s waits for those who make that', async (_what, work, stages) => {
  using watched = new Watched();
  await watched.desert('encode', 'connect', 'generate');
  await watched.work(work);
  expect(watched.told).toEqual([stages]);
  expect(watched.counted).toEqual(stages.map((stage) => [stage, true]));
});

test('where somebody takes them nothing is told, whatever is due', async () => {
  using watched = new Watched();
  await watched.work({ tilesDue: true, drawingsDue: true });
  expect(watched.told).toEqual([]);
});

test('tiles that have left the encoder do not wait for it; where that cannot be found out they do', async () => {
  using watched = new Watched([idle, { ...idle, requestId: 'r-1' }]);
  watched.queued = new Set(['another']);
  await watched.desert('encode');
  await watched.work({ tilesDue: true }, { requestId: 'r-1', tilesDue: true });
  expect(watched.told).toEqual([]);
  watched.queued = new Set(['r-1']);
  await watched.work({ tilesDue: true }, { requestId: 'r-1', tilesDue: true });
  expect(watched.told).toEqual([[ENCODER]]);
  watched.queued = undefined;
  await watched.work({ tilesDue: true });
  expect(watched.told).toEqual([[ENCODER]]);
});

test('a change is told once, and each stage is counted once for as long as it is waited for', async () => {
  using watched = new Watched();
  await watched.desert('encode', 'connect');
  await watched.work({ tilesDue: true });
  await watched.work({ tilesDue: true });
  await watched.desert('connect');
  await watched.desert();
  expect(watched.told).toEqual([[ENCODER, CONNECTOR], [CONNECTOR], []]);
  expect(watched.counted).toEqual([
    [ENCODER, true],
    [CONNECTOR, true],
    [ENCODER, false],
    [CONNECTOR, false],
  ]);
});

test('a request that ends waits for nobody any more, and is told nothing', async () => {
  const watched = new Watched();
  await watched.desert('generate');
  await watched.work({ drawingsDue: true });
  watched[Symbol.dispose]();
  await watched.desert();
  await watched.work({ lacksEngine: true });
  expect(watched.told).toEqual([[GENERATOR]]);
  expect(watched.counted).toEqual([
    [GENERATOR, true],
    [GENERATOR, false],
  ]);
  expect(vi.getTimerCount()).toBe(0);
});

test('shortly before the deadline a stage that never came is the error', async () => {
  using watched = new Watched();
  await watched.desert('generate');
  await watched.work({ drawingsDue: true });
  await vi.advanceTimersByTimeAsync(9_000);
  expect(watched.missed).toBeUndefined();
  await vi.advanceTimersByTimeAsync(999);
  expect(watched.missed).toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: expect.stringContaining('no generator took up'),
    options: { stage: 'generator' },
  });
});

test.each<[why: string, work: Partial<OutstandingWork>]>([
  ['it waits for nobody', {}],
  ['whoever looks for an engine says that himself', { lacksEngine: true, drawingsDue: true }],
])('at the deadline nothing is said where %s', async (_why, work) => {
  using watched = new Watched();
  await watched.desert('generate');
  await watched.work(work);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(watched.missed).toBeUndefined();
});
