import { EngineRoster } from '@tessera/bus';
import type { TesseraError } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EnginePool } from '../routing/engine-pool.js';
import { engineStatus } from '../testing/engine-status.js';
import { RequestAdmission, type RequestOutline } from './request-admission.js';

let roster: EngineRoster;
let pool: EnginePool;
let admission: RequestAdmission;

beforeEach(() => {
  roster = new EngineRoster();
  roster.heard(engineStatus('one', { maxRunning: 4, maxWaiting: 100 }));
  admission = newAdmission();
});

afterEach(() => {
  vi.useRealTimers();
});

function newAdmission(safety = 1): RequestAdmission {
  pool = new EnginePool(roster, { waitMs: 1, expectMs: 1, retryAfterMs: () => 1 });
  return new RequestAdmission({ engines: pool, safety, drawSteps: 20 });
}

function outline(leftMs: number, facts: Partial<RequestOutline> = {}): RequestOutline {
  return {
    hasMedia: false,
    maxTokens: undefined,
    asksToDraw: false,
    drawSteps: undefined,
    deadlineMs: Date.now() + leftMs,
    ...facts,
  };
}

function written(prefillMs: number, decodeMs: number, tokens: number, facts: { promptShared?: boolean } = {}) {
  return { timing: { prefillMs, decodeMs }, tokens, hasMedia: false, promptShared: false, ...facts };
}

/** Answers of a second each, so that four slots give one every 250 ms. */
function knowAnswers(): void {
  for (let n = 0; n < 20; n++) {
    using request = admission.admit(outline(60_000));
    request.written(written(100, 900, 10));
  }
}

function refusal(ask: () => unknown): TesseraError {
  try {
    ask();
  } catch (reason) {
    return reason as TesseraError;
  }
  throw new Error('it was admitted');
}

/** The queue's fleet settles one job a second, and so many wait. */
function busyQueue(kind: 'encode' | 'generate', waiting: number): void {
  for (const settled of [0, 1, 2, 3]) {
    const nowMs = performance.now() - 3000 + settled * 1000;
    admission.sampled(kind, { waiting, running: 1, settled }, nowMs);
  }
}

test('a request that would get its slot too late is refused, with the time that the queue needs', () => {
  knowAnswers();
  roster.heard(engineStatus('one', { running: 4, waiting: 19, maxRunning: 4, maxWaiting: 100 }));
  // 20 come before or with it, 250 ms each, and its own answer takes a second.
  using _ = admission.admit(outline(6500));
  const error = refusal(() => admission.admit(outline(4000)));
  expect(error).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'llm' } });
  expect(error.options.retryAfterMs).toBeGreaterThan(1500);
  expect(error.options.retryAfterMs).toBeLessThan(3000);
});

test('requests on their way to an engine count: a burst is refused before any of it arrives there', () => {
  knowAnswers();
  const admitted = [];
  let refused = 0;
  for (let n = 0; n < 60; n++) {
    try {
      admitted.push(admission.admit(outline(6000)));
    } catch {
      refused++;
    }
  }
  // 4 at once and then 20 in 5 s, which leaves a second for the last one's answer.
  expect(admitted.length).toBeGreaterThanOrEqual(22);
  expect(admitted.length).toBeLessThanOrEqual(26);
  expect(refused).toBe(60 - admitted.length);
  for (const request of admitted) request[Symbol.dispose]();
  using _ = admission.admit(outline(6000));
});

test('one that has its engine is counted there only', () => {
  const request = admission.admit(outline(6000));
  request.placed();
  request[Symbol.dispose]();
  for (let n = 0; n < 104; n++) admission.admit(outline(6000));
  const error = refusal(() => admission.admit(outline(6000)));
  expect(error).toMatchObject({ code: 'QUEUE_FULL', message: expect.stringContaining('104') });
});

test('a request whose media are still to come holds no place, and finds out when they are whole', () => {
  const uploads = Array.from({ length: 110 }, () => admission.admit(outline(6000, { hasMedia: true })));
  const texts = Array.from({ length: 104 }, () => admission.admit(outline(6000)));
  expect(refusal(() => uploads[0]?.encodes(1))).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'llm' } });
  texts[0]?.[Symbol.dispose]();
  uploads[0]?.encodes(1);
  expect(refusal(() => uploads[1]?.encodes(1))).toMatchObject({ code: 'QUEUE_FULL' });
});

test('an idle engine takes a request whose time is short: how long its answer will be nobody knows', () => {
  knowAnswers();
  using _ = admission.admit(outline(200));
});

test('answers that take long in company, and would be short alone, are refused where there is company', () => {
  {
    using alone = admission.admit(outline(60_000));
    alone.written(written(10, 90, 10));
  }
  for (let n = 0; n < 20; n++) {
    using request = admission.admit(outline(60_000));
    request.written(written(400, 3600, 10));
  }
  // Nobody is there.
  using _ = admission.admit(outline(1000));
  roster.heard(engineStatus('one', { running: 4, maxRunning: 4, maxWaiting: 100 }));
  expect(refusal(() => admission.admit(outline(3500)))).toMatchObject({
    code: 'QUEUE_FULL',
    options: { stage: 'llm' },
  });
});

test('a limit of tokens is an answer that is no longer', () => {
  knowAnswers();
  roster.heard(engineStatus('one', { running: 4, waiting: 19, maxRunning: 4, maxWaiting: 100 }));
  refusal(() => admission.admit(outline(5500)));
  using _ = admission.admit(outline(5500, { maxTokens: 1 }));
});

test('a prompt takes what it took, however fast further choices were that found it computed', () => {
  for (let n = 0; n < 20; n++) {
    using first = admission.admit(outline(60_000));
    first.written(written(10_000, 0, 1));
    using further = admission.admit(outline(60_000));
    further.written(written(0, 4000, 1, { promptShared: true }));
  }
  roster.heard(engineStatus('one', { running: 4, maxRunning: 4, maxWaiting: 100 }));
  // A second or more until a slot is free, and ten for the prompt.
  expect(refusal(() => admission.admit(outline(10_500)))).toMatchObject({
    code: 'QUEUE_FULL',
    options: { stage: 'llm' },
  });
});

test('full engines say how long all that they hold takes', () => {
  knowAnswers();
  roster.heard(engineStatus('one', { running: 4, waiting: 20, maxRunning: 4, maxWaiting: 20 }));
  const error = refusal(() => admission.admit(outline(60_000)));
  expect(error).toMatchObject({ code: 'QUEUE_FULL', options: { retryAfterMs: 6000 } });
  expect(admission.engineRetryMs()).toBe(6000);
  roster.heard(engineStatus('one', { running: 4, waiting: 4, maxRunning: 4, maxWaiting: 20 }));
  expect(admission.engineRetryMs()).toBe(2000);
});

test('without any engine a request is not refused here: one may come', () => {
  roster.forget('one');
  using _ = admission.admit(outline(60_000));
});

test('pictures are refused where the encoders cannot have them in time, and text is not', () => {
  busyQueue('encode', 30);
  const error = refusal(() => admission.admit(outline(20_000, { hasMedia: true })));
  expect(error).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'encoder' } });
  expect(error.options.retryAfterMs).toBeGreaterThan(10_000);
  using _ = admission.admit(outline(20_000));
  using picture = admission.admit(outline(35_000, { hasMedia: true }));
  picture.encodes(1);
  // Now they are in the queue.
  expect(refusal(() => picture.encodes(10))).toMatchObject({ code: 'QUEUE_FULL' });
});

test('a picture whose only job would come too late once it is whole is refused then', () => {
  using picture = admission.admit(outline(20_000, { hasMedia: true }));
  busyQueue('encode', 30);
  expect(refusal(() => picture.encodes(1))).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'encoder' } });
});

test('pictures that an engine has hold a place, and wait for no encoder', () => {
  const pictures = Array.from({ length: 105 }, () => admission.admit(outline(6000, { hasMedia: true })));
  busyQueue('encode', 30);
  for (const picture of pictures.slice(0, 104)) picture.encodes(0);
  expect(refusal(() => pictures[104]?.encodes(0))).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'llm' } });
});

test('a drawing that cannot be made in time is refused at the door when it is likely, else when it is asked for', () => {
  busyQueue('generate', 30);
  expect(refusal(() => admission.admit(outline(20_000, { asksToDraw: true })))).toMatchObject({
    code: 'QUEUE_FULL',
    options: { stage: 'generator' },
  });
  using text = admission.admit(outline(20_000));
  expect(refusal(() => text.drawingQueued())).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'generator' } });
  using patient = admission.admit(outline(60_000, { asksToDraw: true }));
  patient.drawingQueued();
});

test('a drawing that alone takes longer than is left ends its request with that', () => {
  {
    using first = admission.admit(outline(60_000, { drawSteps: 10 }));
    first.drawn({ queueMs: 0, busyMs: 2000 });
  }
  using short = admission.admit(outline(3000));
  expect(refusal(() => short.drawingQueued())).toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: expect.stringContaining('4000 ms'),
    options: { stage: 'generator' },
  });
  using fewer = admission.admit(outline(3000, { drawSteps: 10 }));
  fewer.drawingQueued();
});

test('who draws is learned: callers that always say how to draw and seldom do are not held up by drawings', () => {
  for (let n = 0; n < 20; n++) {
    using request = admission.admit(outline(60_000, { asksToDraw: true }));
    request.written(written(1, 1, 2));
  }
  for (let n = 0; n < 20; n++) {
    using request = admission.admit(outline(60_000));
    request.drawingQueued();
    request.written(written(1, 1, 2));
  }
  busyQueue('generate', 30);
  using _ = admission.admit(outline(20_000, { asksToDraw: true }));
  refusal(() => admission.admit(outline(20_000)));
});

test('drawings that are likely to come count before they are queued', () => {
  busyQueue('generate', 1);
  let admitted = 0;
  for (; admitted < 100; admitted++) {
    try {
      admission.admit(outline(10_000, { asksToDraw: true }));
    } catch {
      break;
    }
  }
  // One a second, and two are there.
  expect(admitted).toBeGreaterThanOrEqual(7);
  expect(admitted).toBeLessThanOrEqual(9);
});

test('a request that ends before its media came takes nothing from the drawings of others', () => {
  busyQueue('generate', 1);
  for (let n = 0; n < 20; n++) admission.admit(outline(60_000, { hasMedia: true, asksToDraw: true }))[Symbol.dispose]();
  using _ = admission.admit(outline(10_000, { asksToDraw: true }));
  for (let n = 0; n < 20; n++) admission.admit(outline(60_000, { asksToDraw: true }));
  expect(refusal(() => admission.admit(outline(10_000, { asksToDraw: true })))).toMatchObject({
    options: { stage: 'generator' },
  });
});

/** For four seconds one of forty requests ends in this way every tenth of one, and another comes. */
function keepFull(end: (request: ReturnType<RequestAdmission['admit']>) => void): void {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  roster.heard(engineStatus('one', { running: 4, waiting: 20, maxRunning: 4, maxWaiting: 100 }));
  const begin = () => {
    const request = admission.admit(outline(60_000));
    // The engine announces it.
    request.placed();
    return request;
  };
  const underWay = Array.from({ length: 40 }, begin);
  for (let n = 0; n < 40; n++) {
    vi.advanceTimersByTime(100);
    using first = underWay.shift();
    if (first !== undefined) end(first);
    underWay.push(begin());
  }
}

test('where every slot is taken a newcomer waits as long as all that are under way take', () => {
  keepFull((request) => request.written(written(1, 1, 2)));
  // Ten answers a second.
  expect(refusal(() => admission.admit(outline(3500)))).toMatchObject({
    code: 'QUEUE_FULL',
    options: { stage: 'llm' },
  });
  using _ = admission.admit(outline(5000));
});

test.each<[deserted: ('encode' | 'connect')[], wait: boolean]>([
  [[], true],
  [['encode'], false],
  [['connect'], false],
  [['encode', 'connect'], false],
])(
  'who waits for visual tokens will have a slot, unless nobody makes them: with %j deserted',
  async (deserted, wait) => {
    keepFull((request) => request.written(written(1, 1, 2)));
    roster.heard(engineStatus('one', { running: 0, maxRunning: 4, maxWaiting: 100 }));
    const signal = new AbortController().signal;
    const seeker = { avoid: new Set<string>(), takeover: false, deadlineMs: Date.now() + 60_000, signal };
    for (let n = 0; n < 4; n++) await pool.acquire({ ...seeker, awaitsTiles: true });
    for (const kind of deserted) admission.deserted(kind, { waiting: 4, running: 0, settled: 0 });
    // Forty are under way, of which ten a second become complete where they want for slots.
    const ask = () => admission.admit(outline(3500));
    if (wait) expect(refusal(ask)).toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'llm' } });
    else expect(ask).not.toThrow();
  },
);

test('what is given up is no answer: nothing is known of how long they take', () => {
  keepFull(() => undefined);
  using _ = admission.admit(outline(100));
});

test('with a safety of 0 no time is looked at', () => {
  admission = newAdmission(0);
  busyQueue('generate', 30);
  using request = admission.admit(outline(1000, { asksToDraw: true }));
  request.drawn({ queueMs: 0, busyMs: 60_000 });
  request.drawingQueued();
});

test('requests that have come and are not decided on take places, and are told how long all of them will take', () => {
  knowAnswers();
  // Four slots and a hundred that may wait.
  expect(() => admission.refuseFull(103)).not.toThrow();
  const { code, options } = refusal(() => admission.refuseFull(104));
  expect({ code, stage: options.stage }).toEqual({ code: 'QUEUE_FULL', stage: 'llm' });
  // A second each, four at once.
  expect(options.retryAfterMs).toBeCloseTo(26_000, -1);
});

test('nobody there is no reason to refuse; what those who were there could not have done by the deadline is refused all the same', () => {
  busyQueue('encode', 20);
  for (let second = 1; second <= 60; second++) {
    admission.deserted('encode', { waiting: 20, running: 0, settled: 3 }, performance.now() + second * 1000);
  }
  const facts = { hasMedia: true };
  // 20 come before it, a second each.
  using _ = admission.admit(outline(30_000, facts));
  expect(refusal(() => admission.admit(outline(10_000, facts)))).toMatchObject({
    code: 'QUEUE_FULL',
    options: { stage: 'encoder' },
  });
  // A queue that only stands still refuses nobody: else no job would ever be there for an autoscaler to see.
  admission.deserted('encode', { waiting: 1, running: 0, settled: 3 });
  using __ = admission.admit(outline(5000, facts));
});
