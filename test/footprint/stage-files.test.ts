import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle, stageNames } from '@tessera/bundle';
import { type ServiceName, serviceNames } from '@tessera/cli';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { type Deployment, deploy } from '../support/deployment.js';

let work: string;
let deployment: Deployment;

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'tessera-stages-'));
  const dir = await demoBundleDir();
  const bundle = await readBundle(dir);
  const flags: Partial<Record<ServiceName, string[]>> = {};
  for (const service of serviceNames) {
    const folder = join(work, service);
    mkdirSync(folder);
    const stage = stageNames.find((name) => name === service);
    for (const file of ['bundle.json', ...(stage === undefined ? [] : bundle.filesOf(stage))]) {
      cpSync(join(dir, file), join(folder, file));
    }
    flags[service] = ['--model-dir', folder];
  }
  deployment = await deploy({ flags });
});

afterAll(async () => {
  await deployment?.stop();
  rmSync(work, { recursive: true, force: true });
});

test('each service starts with the manifest and the files of its own stage, and together they answer and draw', async () => {
  const shown = goldenCases.find(({ image }) => image !== null);
  const drawn = goldenCases.find(({ answer }) => answer.includes('<|gen_start|>'));
  for (const one of [shown, drawn]) {
    if (one === undefined) throw new Error('the goldens have no such case');
    const media = picturesOf(one);
    const answer = await ask(deployment.gateway, [{ says: [...media, one.question] }], { draw: { steps: 2 } });
    expect(answer.text).toBe(visibleAnswer(one));
    expect(answer.pictures.length > 0).toBe(one.answer.includes('<|gen_start|>'));
  }
});

test('the folders hold nothing twice', () => {
  const files = serviceNames.flatMap((service) => readdirSync(join(work, service)).filter((f) => f !== 'bundle.json'));
  expect(files.length).toBe(new Set(files).size);
  expect(readdirSync(join(work, 'gateway'))).toEqual(['bundle.json']);
});
