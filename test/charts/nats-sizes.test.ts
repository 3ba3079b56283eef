import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNatsServer } from '@tessera/nats-server';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { tessera } from '../support/tessera.js';
import { helm } from './support/cases.js';

const sizes = ['visualTokensBytes=300000000', 'encodeBytes=100000000'];

test('the sum that the umbrella holds NATS against is the sum of the streams that the code makes', async () => {
  const flags = sizes.flatMap((size) => `--nats-${size.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  const planned = await tessera(['streams', 'plan', '--revision', '0123456789ab', '--json', ...flags]);
  expect(planned.status, planned.stderr).toBe(0);
  const { maxMemBytes, maxMemBytesOfTwoRevisions } = JSON.parse(planned.stdout);
  const said = async (revisions: number): Promise<number> => {
    const set = [
      'global.nats.url=nats://nats:4222',
      'global.nats.maxMemory=1Mi',
      'global.model.source.pvc.claimName=demo',
      `streams.revisions=${revisions}`,
      ...sizes.map((size) => `global.config.nats.${size}`),
    ];
    const { stderr } = await helm(
      'template',
      'demo',
      'deploy/charts/tessera',
      ...set.flatMap((each) => ['--set', each]),
    );
    return Number(/the streams may hold (\d+)/.exec(stderr)?.[1]);
  };
  expect(await said(1)).toBe(maxMemBytes);
  expect(await said(2)).toBe(maxMemBytesOfTwoRevisions);
});

/** What `tessera streams apply` says of two revisions on a server with so much memory for JetStream. */
async function applyTwo(memory: string): Promise<string[]> {
  const storeDir = mkdtempSync(join(tmpdir(), 'tessera-nats-'));
  const jetstream = `jetstream { store_dir: ${JSON.stringify(storeDir)}, max_memory_store: ${memory} }\n`;
  const nats = await startNatsServer({ configuration: jetstream });
  try {
    const said: string[] = [];
    for (const revision of ['0123456789ab', 'ba9876543210']) {
      const { status, stderr } = await tessera(['streams', 'apply', '--revision', revision, '--nats-url', nats.url]);
      if (status !== 0) said.push(stderr);
    }
    return said;
  } finally {
    await nats.stop();
    rmSync(storeDir, { recursive: true, force: true });
  }
}

test('the NATS of the examples holds the streams of two revisions, and a smaller one does not', async () => {
  const path = join(root, 'deploy/examples/manifests/nats.yaml');
  const [config] = parseAllDocuments(readFileSync(path, 'utf8')).map((document) => document.toJS());
  const [, memory] = /max_memory_store: (\S+)/.exec(config.data['nats.conf']) ?? [];
  expect(await applyTwo(memory as string)).toEqual([]);
  expect(await applyTwo('1GB')).toEqual([expect.stringContaining('max_mem')]);
});
