import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { commonSettings } from './common-settings.js';
import { describeSettings, maskSecrets, settingsHelp, settingsMarkdown } from './describe-settings.js';
import { loadSettings, settingsFrom } from './load-settings.js';
import { setting } from './setting.js';

const schema = {
  ...commonSettings,
  threads: setting(z.int().min(1), { default: 1, description: 'Threads of a computation.' }),
  'bus.prefix': setting(z.string(), { default: 'tessera', description: 'First word of every name.' }),
  'batch.maxTiles': setting(z.int().min(1).max(64), { default: 8, description: 'Tiles in a batch.' }),
  'batch.isOrdered': setting(z.boolean(), { default: false, description: 'Whether order is kept.' }),
  'batch.sizes': setting(z.array(z.int()), { default: [1], description: 'Sizes.' }),
  token: setting(z.string().min(8).optional(), { description: 'Secret of the hub.', secret: true }),
};
const model = ['--model-dir', 'models/demo'];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-settings-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, text);
  return path;
}

function refusal(argv: string[], env: Record<string, string> = {}): string {
  try {
    loadSettings('encoder', schema, argv, env);
  } catch (error) {
    expect(error).toBeInstanceOf(TesseraError);
    expect((error as TesseraError).code).toBe('CONFIG_INVALID');
    return (error as TesseraError).message;
  }
  throw new Error('nothing was refused');
}

describe('precedence', () => {
  test('default < file < environment < flag, by one name', () => {
    const config = file('grpc:\n  port: 1001\n  host: 0.0.0.1\nmetrics.port: 2001\nbatch: { maxTiles: 3 }\n');
    const env = { TESSERA_CONFIG: config, TESSERA_GRPC_PORT: '1002', TESSERA_METRICS_PORT: '2002' };
    const settings = loadSettings('encoder', schema, [...model, '--grpc-port=1003'], env);
    expect(settings['grpc.port']).toBe(1003);
    expect(settings['metrics.port']).toBe(2002);
    expect(settings['grpc.host']).toBe('0.0.0.1');
    expect(settings['batch.maxTiles']).toBe(3);
    expect(settings['drain.graceMs']).toBe(30_000);
    expect(settings.token).toBeUndefined();
  });

  test('the file of --config goes before the file of TESSERA_CONFIG', () => {
    const env = { TESSERA_CONFIG: file('threads: 2') };
    expect(loadSettings('encoder', schema, [...model, '--config', file('threads: 3')], env).threads).toBe(3);
  });

  test('text becomes what the schema wants: booleans, lists, and digits that are a name', () => {
    const settings = loadSettings('encoder', schema, [...model, '--batch-is-ordered', '--batch-sizes', '[1, 2]'], {
      TESSERA_BUS_PREFIX: '42',
    });
    expect(settings['batch.isOrdered']).toBe(true);
    expect(settings['batch.sizes']).toEqual([1, 2]);
    expect(settings['bus.prefix']).toBe('42');
  });
});

describe('refusals name the setting', () => {
  test('an unknown key of the file, with the nearest one', () => {
    const message = refusal([...model, '--config', file('grpc: { prot: 1 }')]);
    expect(message).toContain("no setting 'grpc.prot'");
    expect(message).toContain("did you mean 'grpc.port'");
  });

  test('an unknown flag, with the nearest one', () => {
    expect(refusal([...model, '--grcp-port', '1'])).toContain('did you mean --grpc-port?');
    expect(refusal([...model, '--elephants', '1'])).toContain('--help lists them all');
    expect(refusal([...model, 'serve'])).toContain("'serve' is not a flag");
  });

  test('a mistyped variable, but not one of another service nor a Kubernetes service link', () => {
    expect(refusal(model, { TESSERA_GRPC_PROT: '1' })).toContain('did you mean TESSERA_GRPC_PORT?');
    const env = {
      TESSERA_SCHEDULER_MAX_RUNNING_SEQUENCES: '4',
      TESSERA_GRPC_SERVICE_PORT: '1',
      TESSERA_GATEWAY_PORT_50051_TCP_ADDR: '10.0.0.1',
    };
    expect(() => loadSettings('encoder', schema, model, env)).not.toThrow();
  });

  test('a value out of range, wherever it comes from', () => {
    expect(refusal([...model, '--grpc-port', '70000'])).toMatch(/--grpc-port .*70000/);
    expect(refusal(model, { TESSERA_BATCH_MAX_TILES: 'many' })).toMatch(/TESSERA_BATCH_MAX_TILES .*"many"/);
    expect(refusal([...model, '--config', file('log: { level: loud }')])).toContain("'log.level'");
  });

  test('a missing setting, with its three names', () => {
    const message = refusal([]);
    for (const name of ["'model.dir'", '--model-dir', 'TESSERA_MODEL_DIR']) expect(message).toContain(name);
  });

  test('a flag without its value, or twice', () => {
    expect(refusal([...model, '--grpc-port'])).toBe('--grpc-port needs a value');
    expect(refusal([...model, ...model])).toBe('--model-dir is given twice');
  });

  test('a file that is missing, not YAML, not a map, or says a thing twice', () => {
    expect(refusal([...model, '--config', join(folder, 'none.yaml')])).toContain('none.yaml cannot be read');
    expect(refusal([...model, '--config', file('a: [')])).toContain('cannot be read');
    expect(refusal([...model, '--config', file('- a')])).toContain('must be a map');
    expect(refusal([...model, '--config', file('grpc: 7')])).toContain("'grpc' must be a map");
    expect(refusal([...model, '--config', file('grpc.port: 1\ngrpc: { port: 2 }')])).toContain('given twice');
  });

  test('a secret without showing it', () => {
    const message = refusal([...model, '--token', 'hunter2']);
    expect(message).toContain('--token');
    expect(message).not.toContain('hunter2');
  });

  test('values that a program gives are checked alike', () => {
    expect(() => settingsFrom('encoder', schema, { 'model.dir': 'm', threads: 0 })).toThrow(/'threads'/);
    expect(settingsFrom('encoder', schema, { 'model.dir': 'm' })['log.format']).toBe('json');
  });
});

describe('descriptions', () => {
  test('rows say names, type and default', () => {
    expect(describeSettings(schema).find((row) => row.key === 'grpc.port')).toMatchObject({
      environment: 'TESSERA_GRPC_PORT',
      flag: '--grpc-port',
      type: 'integer, 0 to 65535',
      default: '0',
      required: false,
    });
    expect(describeSettings(schema).find((row) => row.key === 'log.format')?.type).toBe('json | text');
    expect(describeSettings(schema).find((row) => row.key === 'model.dir')?.required).toBe(true);
  });

  test('help and Markdown name every setting', () => {
    for (const row of describeSettings(schema)) {
      expect(settingsHelp('encoder', schema)).toContain(`${row.flag} <`);
      expect(settingsMarkdown(schema)).toContain(`| \`${row.key}\` | \`${row.environment}\` |`);
    }
  });

  test('secrets are masked', () => {
    const settings = settingsFrom('encoder', schema, { 'model.dir': 'm', token: 'correct horse' });
    expect(JSON.stringify(maskSecrets(schema, settings))).not.toContain('horse');
  });
});
