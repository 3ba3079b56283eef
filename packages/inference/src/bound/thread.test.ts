// The threads load the library, and what they set in their copy of the environment it does not see.
import '../no-telemetry.js';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BoundEngineCalls, BoundEngineInit } from '../testing/bound-engine.js';
import { everyBackend } from '../testing/every-backend.js';
import { arithmetic, writeTestGraph } from '../testing/test-graphs.js';
import { EngineThread } from '../thread/engine-thread.js';

const entry = new URL('../../dist/testing/bound-engine.js', import.meta.url);

let folder: string;
let graphPath: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-thread-'));
  graphPath = writeTestGraph(folder, 'arithmetic', arithmetic);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(everyBackend)('%s', (_, options) => {
  const start = (): Promise<EngineThread<BoundEngineCalls>> => {
    const init: BoundEngineInit = { graphPath, options };
    return EngineThread.start<BoundEngineCalls>(entry, { name: 'bound', init });
  };

  test('sessions of several engine threads run side by side, and each thread ends when it is closed', async () => {
    const engines = await Promise.all([start(), start(), start()]);
    expect(await engines[0]?.call('backend', undefined)).toBe(options.backend);
    const counts = engines.map((engine, at) => engine.call('count', { start: Float32Array.of(at, 0, -1), times: 200 }));
    for (const [at, count] of (await Promise.all(counts)).entries()) {
      expect(count).toEqual(Float32Array.of(at + 200, 200, 199));
    }
    await Promise.all(engines.map((engine) => engine.close()));
    const later = await start();
    expect(await later.call('count', { start: Float32Array.of(0, 0, 0), times: 1 })).toEqual(Float32Array.of(1, 1, 1));
    await later.close();
  });

  test('a thread that crashes with a run under way takes only its own session with it', async () => {
    const [engine, other] = await Promise.all([start(), start()]);
    await expect(engine.call('crash', undefined)).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
    expect((await engine.crashed).message).toContain('the engine broke');
    const count = await other.call('count', { start: new Float32Array(3), times: 50 });
    expect(count).toEqual(Float32Array.of(50, 50, 50));
    await other.close();
  });

  // The library comes with the first thread that needs it and must not be unloaded under the next.
  test('a process ends well whose threads alone loaded ONNX Runtime', () => {
    const program = join(folder, 'threads.mjs');
    writeFileSync(
      program,
      `import { EngineThread } from ${JSON.stringify(new URL('../../dist/thread/engine-thread.js', import.meta.url).href)};
      const init = ${JSON.stringify({ graphPath, options })};
      for (let time = 0; time < 3; time++) {
        const engine = await EngineThread.start(new URL(${JSON.stringify(entry.href)}), { name: 'bound', init });
        const [count] = await engine.call('count', { start: new Float32Array(3), times: 20 });
        if (time < 2) await engine.close();
        console.log(count);
      }
      process.exit(0);`,
    );
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
    expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: '20\n20\n20\n', stderr: '' });
  });
});
