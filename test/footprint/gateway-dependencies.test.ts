import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Where Node finds a package from a folder; undefined for an optional one that this platform does not have. */
function find(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

/** Every package that an installation of the workspace package without its development dependencies carries. */
function closure(workspace: string): Set<string> {
  const names = new Set<string>();
  const seen = new Set<string>();
  const open = [join(root, workspace)];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    if (seen.has(folder)) continue;
    seen.add(folder);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as Package;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      names.add(name);
      const found = find(name, folder);
      if (found !== undefined) open.push(found);
      else if (!Object.hasOwn(optionalDependencies, name)) throw new Error(`${name} of ${folder} is not installed`);
    }
  }
  return names;
}

const heavy = (names: Set<string>): string[] =>
  [...names].filter((name) => /onnx|huggingface|compiler|^koffi/.test(name));

test('the gateway carries neither ONNX Runtime, nor what calls its C API, nor a tokenizer, nor the compiler', () => {
  const names = closure('services/gateway');
  expect([...names]).toContain('@grpc/grpc-js');
  expect(heavy(names)).toEqual([]);
});

test('the computing services carry ONNX Runtime, and only the LLM the tokenizer', () => {
  for (const name of ['encoder', 'connector', 'generator']) {
    expect(heavy(closure(`services/${name}`)), name).toEqual(['onnxruntime-node', 'koffi', 'onnxruntime-common']);
  }
  expect(heavy(closure('services/llm'))).toContain('@huggingface/tokenizers');
});
