import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';

const inference = resolve(root, 'packages/inference/dist/index.js');

// ONNX Runtime's own telemetry would keep a device id in the home, and queue its reports there.
test.each([
  ['createSession', 'release'],
  ['createThreadSession', 'release'],
  ['createBoundSession', 'close'],
])('%s leaves nothing in the home of its user', async (create, end) => {
  const dir = await demoBundleDir();
  const work = mkdtempSync(join(tmpdir(), 'tessera-home-'));
  const home = join(work, 'home');
  const file = join(work, 'run.mjs');
  try {
    mkdirSync(home);
    const script = `import { ${create} } from ${JSON.stringify(inference)};
      const rest = [${JSON.stringify(join(dir, 'connector.onnx'))}, { threads: 1, device: 'cpu' }];
      const session = await ${create === 'createThreadSession' ? `createThreadSession('connector', ...rest)` : `${create}(...rest)`};
      await session.${end}();`;
    writeFileSync(file, script);
    const { XDG_CACHE_HOME: _, ORT_DISABLE_TELEMETRY: __, CI: ___, ...env } = process.env;
    const run = spawnSync(process.execPath, [file], {
      env: { ...env, HOME: home },
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    expect(run.status).toBe(0);
    expect(readdirSync(home, { recursive: true })).toEqual([]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});
