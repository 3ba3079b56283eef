import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { tessera, tesseraUp, type Up } from '../support/tessera.js';

let folder: string;
let bundle: string;
let up: Up;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-advise-'));
  bundle = await demoBundleDir();
  up = await tesseraUp(['--grace-ms', '20000']);
  writeFileSync(file('up.json'), up.processes.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const profiled = await tessera([
    ...['profile', '--bundle', bundle, '--deployment', file('up.json'), '--out', file('profile.json')],
    ...['--effort', '0.1', '--set', 'encoder.jobs.slots=5', '--cores', '2', '--json'],
  ]);
  expect(profiled.status, profiled.stderr).toBe(0);
  // A profile repeats what it measures: on a busy machine it takes minutes.
}, 1_200_000);
afterAll(async () => {
  up?.process.kill('SIGINT');
  await up?.ended;
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string): string => join(folder, name);
const json = (name: string) => JSON.parse(readFileSync(file(name), 'utf8'));
const adviseWith = (trace: string, objective: string, ...more: string[]) =>
  tessera(['advise', '--trace', trace, '--profile', file('profile.json'), '--objective', objective, ...more]);

test('a profile says what every stage of a running deployment takes', () => {
  const profile = json('profile.json');
  expect(profile).toMatchObject({
    format: 1,
    model: 'demo',
    machineCores: 2,
    tokensPerTile: 9,
    encoder: { slots: 5, maxBatch: 8, tilesPerJob: 4 },
    connector: { maxBatch: 32 },
    llm: { maxRunning: 16, maxWaiting: 64, maxChunkTokens: 256, kvTokenBytes: 6144 },
    generator: { maxBatch: 4, defaultSteps: 20 },
  });
  const { encoder, connector, llm, generator, request, gateway } = profile;
  for (const curve of [encoder.batchMs, connector.batchMs, llm.prefillMs, llm.decodeMs, generator.stepMs]) {
    for (const { size, ms } of curve) {
      expect(size).toBeGreaterThan(0);
      expect(ms).toBeGreaterThan(0);
    }
  }
  expect(llm.prefillMs.at(-1).size).toBeGreaterThan(200);
  // A chunk of one token is a step of one answer.
  expect(llm.prefillMs[0].size).toBe(1);
  for (const curve of [llm.joinMs, profile.besideMs]) {
    expect(curve.map(({ size }: { size: number }) => size)).toEqual([1, 3, 8]);
  }
  expect(profile.finishMs).toBeGreaterThan(0);
  expect(request.ms).toBeGreaterThan(0);
  // What is left of a request when its stages are taken off: within what a busy machine adds, it may be nothing.
  expect(request.cpuMs).toBeGreaterThanOrEqual(0);
  for (const stage of [gateway, encoder, connector, llm, generator]) expect(stage.startSeconds).toBeGreaterThan(0);
});

test('a trace is made, and what holds an objective for it is found, with values for the charts', async () => {
  const made = await tessera([
    ...[
      'trace',
      '--requests',
      '300',
      '--rate',
      '1',
      '--pictures',
      '0.3',
      '--picture-size',
      '96x96',
      '--drawings',
      '0.05',
    ],
    ...[
      '--text-tokens',
      '40,0.5',
      '--output-tokens',
      '20,0.5',
      '--drawing-steps',
      '2',
      '--seed',
      '7',
      '--out',
      file('trace.jsonl'),
    ],
  ]);
  expect(made.status, made.stderr).toBe(0);
  const toStdout = await tessera(['trace', '--requests', '3', '--seed', '7']);
  expect(
    toStdout.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toHaveLength(3);

  const found = await adviseWith(file('trace.jsonl'), 'latency_p95=60s', '--values', file('values.yaml'), '--json');
  expect(found.status, found.stderr).toBe(0);
  const { holds, fixed, values, reasons } = JSON.parse(found.stdout);
  expect(holds).toBe(true);
  expect(fixed.replicas).toEqual({ gateway: 1, encoder: 1, connector: 1, llm: 1, generator: 1 });
  expect(fixed).toMatchObject({ requests: 300, answered: 300, refused: 0 });
  expect(parse(readFileSync(file('values.yaml'), 'utf8'))).toEqual(values);
  expect(Object.keys(values)).toEqual(['gateway', 'encoder', 'connector', 'llm', 'generator']);
  expect(reasons.join(' ')).toContain('bottleneck');

  const shown = await adviseWith(file('trace.jsonl'), 'latency_p95=60s');
  expect(shown.stdout).toMatch(/latency_p95=60s +\d.* yes/);
  expect(shown.stdout).toContain(`for revision ${json('profile.json').revision}`);

  const asked = await adviseWith(file('trace.jsonl'), 'ttft_p50=1s', '--replicas', 'encoder=3', '--json');
  expect(JSON.parse(asked.stdout).replicas).toEqual({ gateway: 1, encoder: 3, connector: 1, llm: 1, generator: 1 });
});

test('an objective that nothing holds gives the nearest, and status 1', async () => {
  const { status, stdout, stderr } = await adviseWith(
    file('trace.jsonl'),
    'ttft_p50=0.001ms',
    '--max',
    'llm=2',
    '--max',
    'gateway=1',
  );
  expect(status).toBe(1);
  expect(stdout).toContain('NOT HELD');
  expect(stderr).toMatch(/Nothing within the bounds holds ttft_p50=0.001ms: the nearest comes to .* ms/);
});

test.each<[what: string, args: () => string[], status: number, says: RegExp]>([
  [
    'no trace',
    () => ['advise', '--trace', file('none'), '--profile', file('profile.json'), '--objective', 'ttft_p95=1s'],
    2,
    /none cannot be read/,
  ],
  [
    'a wrong line',
    () => ['advise', '--trace', file('wrong.jsonl'), '--profile', file('profile.json'), '--objective', 'ttft_p95=1s'],
    2,
    /line 2 lacks outputTokens/,
  ],
  [
    'a trace for a profile',
    () => ['advise', '--trace', file('trace.jsonl'), '--profile', file('trace.jsonl'), '--objective', 'ttft_p95=1s'],
    2,
    /is not JSON/,
  ],
  [
    'no objective',
    () => ['advise', '--trace', file('trace.jsonl'), '--profile', file('profile.json'), '--objective', 'fast'],
    2,
    /"fast" is no objective: say ttft_p95=1s/,
  ],
  [
    'a stage that there is not',
    () => [
      'advise',
      '--trace',
      file('trace.jsonl'),
      '--profile',
      file('profile.json'),
      '--objective',
      'ttft_p95=1s',
      '--max',
      'decoder=2',
    ],
    2,
    /STAGE is one of gateway, encoder/,
  ],
  ['a rate of nothing', () => ['trace', '--rate', '0'], 2, /rate must be above 0/],
  ['a size that is none', () => ['trace', '--picture-size', '0x5'], 2, /Say it as 1024x768/],
  ['nowhere to ask', () => ['profile', '--bundle', bundle], 2, /nothing says where the gateway is/],
  [
    'no deployment there',
    () => [
      'profile',
      '--bundle',
      bundle,
      '--stage',
      'gateway=127.0.0.1:1,127.0.0.1:1',
      '--stage',
      'llm=127.0.0.1:1,127.0.0.1:1',
    ],
    3,
    /no server can be reached at 127.0.0.1:1/,
  ],
  [
    'a stage that is elsewhere',
    () => [
      'profile',
      '--bundle',
      bundle,
      '--deployment',
      file('up.json'),
      '--stage',
      'encoder=127.0.0.1:1,127.0.0.1:1',
      '--effort',
      '0.1',
      '--no-starts',
    ],
    3,
    /127.0.0.1:1/,
  ],
  [
    'a setting that there is not',
    () => [
      'profile',
      '--bundle',
      bundle,
      '--deployment',
      file('up.json'),
      '--set',
      'encoder.slots=1',
      '--effort',
      '0.1',
    ],
    2,
    /encoder.slots is no setting that a profile is made of/,
  ],
  [
    'no time',
    () => ['profile', '--bundle', bundle, '--deployment', file('up.json'), '--timeout-s', '1'],
    3,
    /not complete after 1 s/,
  ],
])('%s ends with a sentence and a status', async (_, args, status, says) => {
  writeFileSync(file('wrong.jsonl'), '{"at":0,"textTokens":1,"outputTokens":1}\n{"at":1,"textTokens":1}\n');
  const ended = await tessera(args());
  expect(ended.stderr).toMatch(says);
  expect(ended.status).toBe(status);
});
