import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { compileCheckpoint } from '@tessera/compiler';
import { BundleGraphs, beginnings } from '@tessera/compiler/testing/run-pieces';
import { expect, onTestFinished, test } from 'vitest';
import { copyCheckpoint, readReference } from './fixture.js';

test.each(['qwen3', 'mistral-window', 'llama-mqa-biases'])(
  '%s in pieces of layers gives what it gives whole, bit for bit',
  async (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-conformance-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const out = join(folder, 'bundle');
    await compileCheckpoint(copyCheckpoint(name, folder), out, { weights: 'float32', cut: 'layers=2' });
    const bundle = await readBundle(out);
    await using graphs = new BundleGraphs(bundle);
    const { prompt } = await readReference(name);
    const feeds = beginnings(bundle.manifest.llm, [prompt]);
    expect(await graphs.runPieces(feeds)).toEqual(await graphs.run(bundle.manifest.llm.graph, feeds));
  },
);
