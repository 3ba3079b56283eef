import { EngineRoster } from '@tessera/bus';
import { expect, test } from 'vitest';
import { EnginePool } from '../routing/engine-pool.js';
import { engineStatus } from '../testing/engine-status.js';
import { AdmittedChoices } from './admitted-choices.js';
import { RequestAdmission } from './request-admission.js';

const outline = {
  hasMedia: false,
  maxTokens: undefined,
  asksToDraw: false,
  drawSteps: undefined,
  deadlineMs: Date.now() + 60_000,
};

/** One engine with so many places. */
function places(count: number): { pool: EnginePool; admission: RequestAdmission } {
  const roster = new EngineRoster();
  roster.heard(engineStatus('one', { maxRunning: count, maxWaiting: 0 }));
  const pool = new EnginePool(roster, { waitMs: 1, expectMs: 1, retryAfterMs: () => 1 });
  return { pool, admission: new RequestAdmission({ engines: pool, safety: 1, drawSteps: undefined }) };
}

test('each choice holds a place until it has its engine, or the request ends', () => {
  const { pool, admission } = places(4);
  const admitted = new AdmittedChoices(admission, outline, 3);
  expect(pool.outlook().load).toBe(3);
  admitted.each[1]?.placed();
  expect(pool.outlook().load).toBe(2);
  admitted[Symbol.dispose]();
  expect(pool.outlook().load).toBe(0);
});

test('a request whose choices have not all room is refused, and holds nothing', () => {
  const { pool, admission } = places(4);
  using _running = new AdmittedChoices(admission, outline, 2);
  const full = expect.objectContaining({ code: 'QUEUE_FULL', message: expect.stringContaining('full') });
  expect(() => new AdmittedChoices(admission, outline, 3)).toThrow(full);
  expect(pool.outlook().load).toBe(2);
  using both = new AdmittedChoices(admission, outline, 2);
  expect(both.each).toHaveLength(2);
});

test('more choices than all engines have places for are no matter of trying again', () => {
  const { pool, admission } = places(4);
  using _running = new AdmittedChoices(admission, outline, 1);
  const never = expect.objectContaining({
    code: 'REQUEST_INVALID',
    message: 'choices is 5; each is a sequence, and all llm engines together admit 4',
    options: { field: 'choices' },
  });
  expect(() => new AdmittedChoices(admission, outline, 5)).toThrow(never);
  expect(pool.outlook().load).toBe(1);
});

test('where no engine is there any number of choices may find room', () => {
  const pool = new EnginePool(new EngineRoster(), { waitMs: 1, expectMs: 1, retryAfterMs: () => 1 });
  const admission = new RequestAdmission({ engines: pool, safety: 1, drawSteps: undefined });
  using admitted = new AdmittedChoices(admission, outline, 5);
  expect(admitted.each).toHaveLength(5);
});

test('with media the places are held when these are whole', () => {
  const { pool, admission } = places(4);
  using admitted = new AdmittedChoices(admission, { ...outline, hasMedia: true }, 3);
  expect(pool.outlook().load).toBe(0);
  admitted.encodes(5);
  expect(pool.outlook().load).toBe(3);
});

test('no encode jobs are counted of a request whose choices have not all room when its media are whole', () => {
  const { admission } = places(4);
  const withMedia = { ...outline, hasMedia: true };
  const admitted = new AdmittedChoices(admission, withMedia, 3);
  using _running = new AdmittedChoices(admission, outline, 2);
  // The encoders do a job a second, and have nothing to do now.
  for (const settled of [0, 1, 2, 3]) {
    const nowMs = performance.now() - 4000 + settled * 1000;
    admission.sampled('encode', { waiting: 1, running: 1, settled }, nowMs);
  }
  admission.sampled('encode', { waiting: 0, running: 0, settled: 5 });
  expect(() => admitted.encodes(600)).toThrow(/every llm engine is full/);
  admitted[Symbol.dispose]();
  // It would come after 600 jobs.
  using next = new AdmittedChoices(admission, withMedia, 1);
  next.encodes(1);
});
