import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { natsSettings } from '@tessera/bus';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { connector } from '@tessera/connector';
import { encoder } from '@tessera/encoder';
import { gateway } from '@tessera/gateway';
import { generator } from '@tessera/generator';
import { llm } from '@tessera/llm';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { defaultStreamLimits, totalStreamBytes } from '@tessera/protocol';
import { commonSettings, createLog, type Service, type ServiceSettings, startService } from '@tessera/service';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { placedExperts } from '../support/placed-experts.js';

let nats: NatsServer;
let bundleDir: string;

beforeAll(async () => {
  nats = await startNatsServer();
  bundleDir = await demoBundleDir();
});

afterAll(() => nats?.stop());

/** What the packages below the services read of every service's settings: as `['grpc.port']`, or as `{ 'grpc.port': port }`. */
function readByPackages(): Set<string> {
  const files = ['service', 'bus', 'stage'].flatMap((name) => {
    const src = join(root, 'packages', name, 'src');
    return readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.startsWith('testing/'))
      .map((file) => join(src, file));
  });
  const code = files.map((file) => readFileSync(file, 'utf8')).join('\n');
  const isRead = (key: string): boolean =>
    code.includes(`['${key}']`) || new RegExp(`'${key.replaceAll('.', '\\.')}': \\w+[ ,]`).test(code);
  return new Set(Object.keys({ ...commonSettings, ...natsSettings }).filter(isRead));
}

/** What settings change of how a service is started. */
type Given = Readonly<Record<string, string | number | boolean>>;

/** The settings that a service reads while it starts and stops. */
async function readBy<S extends ServiceSettings>(service: Service<S>, changes: Given): Promise<Set<string>> {
  const read = new Set<string>();
  const listening: Service<S> = {
    ...service,
    start: (context) => {
      const settings = new Proxy(context.settings, {
        get(target, key) {
          read.add(String(key));
          return Reflect.get(target, key);
        },
      });
      return service.start({ ...context, settings });
    },
  };
  const given = { 'model.dir': bundleDir, 'nats.url': nats.url, ...changes } as Parameters<typeof startService<S>>[1];
  const log = createLog({ service: service.name, level: 'silent', format: 'json' });
  await (await startService(listening, given, { log })).stop();
  return read;
}

test('every setting that a service declares is read by it or by what it stands on: none does nothing', async () => {
  const common = readByPackages();
  const idle: string[] = [];
  const look = async <S extends ServiceSettings>(service: Service<S>, ...ways: Given[]): Promise<void> => {
    const read = new Set<string>();
    for (const changes of [{}, ...ways]) for (const key of await readBy(service, changes)) read.add(key);
    for (const key of Object.keys(service.settings)) {
      if (!read.has(key) && !common.has(key)) idle.push(`${service.name}: ${key}`);
    }
  };
  await look(encoder);
  await look(connector);
  await using placed = await placedExperts();
  const experts = { 'model.dir': placed.dir, 'experts.placementFile': placed.placementFile };
  const layers = { 'model.dir': (await smallLlamaBundle('layers=2')).dir, 'nats.url': nats.url };
  const held = { ...layers, role: 'layers', 'layers.piece': 1 } as const;
  const log = createLog({ service: 'layers', level: 'silent', format: 'json' });
  const shard = await startService(llm, { ...held, 'kv.maxBytes': 1 << 20 }, { log });
  try {
    await look(
      llm,
      experts,
      { ...experts, role: 'experts', 'experts.group': 'all' },
      { ...layers, role: 'layers', 'layers.piece': 1 },
      { ...layers, 'layers.remote': true },
    );
  } finally {
    await shard.stop();
  }
  await look(generator);
  await look(gateway);
  expect(idle).toEqual([]);
});

test('the README says how much memory NATS must have for the streams at their defaults', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8').replaceAll(/\s+/g, ' ');
  expect(readme).toContain(`at least ${totalStreamBytes(defaultStreamLimits) / 2 ** 20} MiB of memory for the streams`);
});
