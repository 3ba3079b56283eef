// Records that somebody judged whether a change of the compiler makes other bundles, or refuses what it took:
//   node scripts/compiler-sources.mjs [--check] [FOLDER]
// A bundle is cached by its checkpoint and `compilerVersion`. With --check it writes nothing, and fails when the sources of
// packages/compiler (or FOLDER) are not those that were recorded last.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [folder = resolve(import.meta.dirname, '../packages/compiler')] = process.argv
  .slice(2)
  .filter((word) => !word.startsWith('--'));
const record = join(folder, 'judged-sources.sha256');

const hash = createHash('sha256');
for (const file of readdirSync(join(folder, 'src'), { recursive: true }).sort()) {
  if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file.startsWith('testing')) continue;
  const contents = readFileSync(join(folder, 'src', file));
  hash.update(`${file} ${contents.length}\n`).update(contents);
}
const found = `${hash.digest('hex')}\n`;

if (!process.argv.includes('--check')) {
  writeFileSync(record, found);
} else if (found !== readFileSync(record, 'utf8')) {
  console.error(`The sources of packages/compiler have changed. Is any checkpoint now refused, taken or compiled otherwise?
Then raise compilerVersion in packages/compiler/src/content-digest.ts: else bundles from before are served in its place.
In either case run 'node scripts/compiler-sources.mjs', which records that this was judged.`);
  process.exit(1);
}
