import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const inference = resolve(import.meta.dirname, '../dist/index.js');

test.each(['createSession', 'createThreadSession'])('%s leaves nothing in the home of its user', (create) => {
  const home = mkdtempSync(join(tmpdir(), 'tessera-home-'));
  try {
    // The graph is missing on purpose: the library has started by the time it finds that out.
    const call =
      create === 'createSession' ? `createSession('missing.onnx', o)` : `createThreadSession('x', 'missing.onnx', o)`;
    const script = `import { ${create} } from ${JSON.stringify(inference)};
      const o = { threads: 1, device: 'cpu' };
      await ${call}.then(() => process.exit(9), () => process.exit(0));`;
    const { XDG_CACHE_HOME: _, ORT_DISABLE_TELEMETRY: __, ...env } = process.env;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...env, HOME: home, CI: '' },
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    expect(run.status).toBe(0);
    expect(readdirSync(home, { recursive: true })).toEqual([]);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
