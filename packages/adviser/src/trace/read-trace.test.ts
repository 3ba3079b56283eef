import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readTrace } from './read-trace.js';
import { syntheticRequests } from './synthetic.js';
import { type SyntheticTrace, syntheticDefaults } from './synthetic-options.js';
import { Trace } from './trace.js';

async function* inPieces(text: string, size: number): AsyncGenerator<string> {
  for (let from = 0; from < text.length; from += size) yield text.slice(from, from + size);
}

const good = '{"at": 0, "textTokens": 5, "outputTokens": 3}';

test('what was written is read, however it is cut into pieces', async () => {
  const requests = [
    ...syntheticRequests({ ...syntheticDefaults, requests: 50, pictureShare: 0.5, drawingShare: 0.3, choices: 2 }),
  ];
  const text = requests.map((request) => JSON.stringify(request)).join('\n');
  const written = Trace.from(requests);
  for (const size of [1, 7, 1000, 1_000_000]) {
    const read = await readTrace(inPieces(text, size));
    expect(read.length).toBe(50);
    for (let index = 0; index < 50; index++) expect(read.request(index)).toEqual(written.request(index));
  }
});

test.each([
  ['{"at": 0', 'line 2 is not JSON'],
  ['[1]', 'line 2 is no JSON object'],
  ['{"at": 0, "textTokens": 5}', 'line 2 lacks outputTokens'],
  ['{"at": -1, "textTokens": 5, "outputTokens": 3}', 'line 2 has at -1; it is a number from 0'],
  ['{"at": 0, "textTokens": 5.5, "outputTokens": 3}', 'line 2 has textTokens 5.5; it is a whole number'],
  ['{"at": 0, "textTokens": 5, "outputTokens": "3"}', 'line 2 has outputTokens "3"'],
  ['{"at": 0, "textTokens": 5, "outputTokens": 3, "tokens": 3}', 'line 2 has "tokens", which is none of at,'],
  ['{"at": 0, "textTokens": 5, "outputTokens": 3, "cachedTokens": 6}', 'more than its 5 textTokens'],
  ['{"at": 0, "textTokens": 5, "outputTokens": 3, "maxTokens": 2}', 'less than its 3 outputTokens'],
  ['{"at": 0, "textTokens": 0, "outputTokens": 3}', 'neither text nor a picture'],
  ['{"at": 0, "textTokens": 5, "outputTokens": 3, "pictures": 1}', 'pictures that are no list'],
  ['{"at": 0, "textTokens": 5, "outputTokens": 3, "pictures": [{"width": 5}]}', "a picture's height undefined"],
  ['{"at": 0, "textTokens": 5, "outputTokens": 3, "pictures": [null]}', 'a picture that is no object'],
])('%s is refused with its number and what is wrong', async (line, message) => {
  await expect(readTrace(inPieces(`${good}\n${line}\n`, 16))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(message),
  });
});

test('all wrong lines are named at once, ten at most', async () => {
  const few = readTrace(inPieces(`${good}\nx\n${good}\ny\n`, 1000));
  await expect(few).rejects.toThrow('the trace: line 2 is not JSON; line 4 is not JSON');
  const many = await readTrace(inPieces('x\n'.repeat(1000), 1000)).catch((reason: Error) => reason.message);
  expect(many).toContain('line 10 is not JSON');
  expect(many).not.toContain('line 11');
});

test('requests out of order, none at all, too many, and a line without end are refused', async () => {
  const later = good.replace('"at": 0', '"at": 5');
  await expect(readTrace(inPieces(`${later}\n${good}`, 99))).rejects.toThrow(
    'line 2 comes at 0 s, before the one above',
  );
  await expect(readTrace(inPieces('\n\n', 99))).rejects.toThrow('has no request');
  await expect(readTrace(inPieces(`${good}\n`.repeat(4), 99), { maxRequests: 3 })).rejects.toThrow(
    'more than 3 requests',
  );
  await expect(readTrace(inPieces('x'.repeat(200_000), 8192))).rejects.toThrow('line 1 has more than 65536 characters');
});

test('a file that is not there is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trace-'));
  try {
    await expect(readTrace(join(folder, 'none.jsonl'))).rejects.toThrow(/none\.jsonl cannot be read/);
    await writeFile(join(folder, 'some.jsonl'), good);
    expect((await readTrace(join(folder, 'some.jsonl'))).length).toBe(1);
  } finally {
    await rm(folder, { recursive: true });
  }
});

const made = (changes: Partial<SyntheticTrace>): Trace =>
  Trace.from(syntheticRequests({ ...syntheticDefaults, requests: 50_000, rate: 10, ...changes }));

/** Variance of the requests in windows of a second over their mean: 1 of Poisson's. */
function dispersion(trace: Trace): number {
  const counts: number[] = [];
  for (let index = 0; index < trace.length; index++) {
    const second = Math.floor(trace.arrival(index));
    counts[second] = (counts[second] ?? 0) + 1;
  }
  const filled = Array.from(counts, (count = 0) => count);
  const mean = filled.reduce((sum, count) => sum + count, 0) / filled.length;
  return filled.reduce((sum, count) => sum + (count - mean) ** 2, 0) / filled.length / mean;
}

test('every kind of arrivals has its rate; bursts are bursts, and Poisson is none', () => {
  const poisson = made({});
  const bursty = made({ arrivals: 'bursty', burstiness: 8 });
  const onoff = made({ arrivals: 'onoff', period: 60, share: 0.25 });
  const diurnal = made({ arrivals: 'diurnal', period: 500, share: 0.8 });
  for (const trace of [poisson, bursty, onoff, diurnal]) expect(trace.length / trace.seconds).toBeCloseTo(10, -0.5);
  expect(dispersion(poisson)).toBeGreaterThan(0.9);
  expect(dispersion(poisson)).toBeLessThan(1.1);
  for (const trace of [bursty, onoff, diurnal]) expect(dispersion(trace)).toBeGreaterThan(2);
  for (let index = 0; index < 1000; index++) expect(onoff.arrival(index) % 60).toBeLessThanOrEqual(15);
});

test('lengths have the median that was asked for, and shares are what they are said to be', () => {
  const trace = made({ pictureShare: 0.3, drawingShare: 0.1, textTokens: { median: 100, sigma: 1, most: 1000 } });
  const requests = Array.from({ length: trace.length }, (_, index) => trace.request(index));
  const share = (is: (request: (typeof requests)[number]) => boolean): number =>
    requests.filter(is).length / trace.length;
  expect(share(({ textTokens }) => textTokens <= 100)).toBeCloseTo(0.5, 1);
  expect(Math.max(...requests.map(({ textTokens }) => textTokens))).toBe(1000);
  expect(share(({ pictures }) => pictures.length > 0)).toBeCloseTo(0.3, 1);
  expect(share(({ drawings }) => drawings > 0)).toBeCloseTo(0.1, 1);
});

test('a seed gives one trace, and another seed another', () => {
  const [one, same, other] = [made({ seed: 5 }), made({ seed: 5 }), made({ seed: 6 })];
  expect(one.request(999)).toEqual(same.request(999));
  expect(one.request(999)).not.toEqual(other.request(999));
});

test.each([{ rate: 0 }, { burstiness: 0.5 }, { pictureShare: 2 }, { arrivals: 'onoff' as const, share: 0 }])(
  'options that make no trace are refused: %o',
  (changes) => {
    expect(() => made(changes)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  },
);
