// Runs the tests under other versions of Node, whose binaries the npm package `node` carries:
//   npm run test:node -- 22              every test under the newest 22
//   npm run test:node -- 22 24 -- PATH   the tests of a path, under one version after the other
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cache, output, run, runTests, splitArguments, withPath } from './run-with-path.mjs';

const supported = ['20', '22', '24'];
const [named, testArguments] = splitArguments(process.argv.slice(2));
const versions = named.length === 0 ? supported : named;
const strange = versions.find((version) => !/^\d+(\.\d+){0,2}$/.test(version));
if (strange !== undefined) {
  console.error(`${strange} is no version of Node; name one such as 22 or 24.9.0, and the tests' arguments after --`);
  process.exit(2);
}

for (const version of versions) {
  const folder = join(cache, 'node', version);
  mkdirSync(folder, { recursive: true });
  // A project of its own, so that npm does not take it for a part of this one.
  writeFileSync(join(folder, 'package.json'), '{"private":true}\n');
  run('npm', ['install', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', `node@${version}`], {
    cwd: folder,
  });
  const bin = join(folder, 'node_modules/node/bin');
  const env = withPath(bin);
  const node = join(bin, 'node');
  const found = output(node, ['--version']);
  const native = `
    const sharp = (await import('sharp')).default;
    await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } }).png().toBuffer();
    const { listSupportedBackends } = await import('onnxruntime-node');
    console.log('sharp', sharp.versions.sharp, 'and onnxruntime-node with', listSupportedBackends().map(({ name }) => name).join(', '));`;
  console.log(`Node ${found}`);
  run(node, ['--input-type=module', '--eval', native], { env });
  await runTests(node, testArguments, env);
}
