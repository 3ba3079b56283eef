import { loadSettings } from '@tessera/service';
import { expect, test } from 'vitest';
import { engineConfig, llmSettings } from './config.js';

const session = { threads: 3, device: 'cpu' as const };

/** What the engine is given of these settings. */
const configOf = (...argv: string[]) =>
  engineConfig(loadSettings('llm', llmSettings, ['--model-dir', 'models/demo', ...argv], {}), session);

test('each setting of an engine arrives under its own name', () => {
  const numbers = {
    'max-running': 31,
    'max-waiting': 32,
    'max-waiting-for-tiles': 33,
    'max-takeovers': 34,
    'max-step-tokens': 135,
    'max-chunk-tokens': 36,
    'tile-timeout-ms': 37,
    'max-drawings': 38,
    'speculative-tokens': 9,
    'speculation-ngram': 4,
  };
  const flags = Object.entries(numbers).map(([name, value]) => `--engine-${name}=${value}`);
  const others = [
    '--kv-max-bytes=39',
    '--kv-reuse-prefixes=false',
    '--engine-backend=node',
    '--prompt-chat-template=plain',
  ];
  expect(configOf(...flags, ...others)).toEqual({
    modelDir: 'models/demo',
    chatTemplate: 'plain',
    session: { ...session, backend: 'node' },
    experts: undefined,
    layers: undefined,
    limits: {
      maxRunning: 31,
      maxWaiting: 32,
      maxWaitingForTiles: 33,
      maxTakeovers: 34,
      maxStepTokens: 135,
      maxChunkTokens: 36,
      tileTimeoutMs: 37,
      maxDrawings: 38,
      speculativeTokens: 9,
      speculationNgram: 4,
      kvBytes: 39,
      reusePrefixes: false,
    },
  });
});

const tlsFlags = (kind: string): string[] =>
  ['ca-file', 'cert-file', 'key-file', 'server-name'].map((name) => `--${kind}-${name}=${kind} ${name}`);

const tls = (kind: string) => ({
  caFile: `${kind} ca-file`,
  certFile: `${kind} cert-file`,
  keyFile: `${kind} key-file`,
  serverName: `${kind} server-name`,
  refreshMs: 1234,
});

const common = ['--grpc-max-message-bytes=5000000', '--grpc-cert-refresh-ms=1234'];

test('what expert shards are called by is there where a placement is given', () => {
  const own = ['--experts-row-type=float16', '--experts-call-timeout-ms=41', '--experts-hedge=false'];
  const given = [
    '--experts-placement-file=placement.json',
    ...own,
    ...tlsFlags('experts'),
    ...tlsFlags('layers'),
    ...common,
  ];
  expect(configOf(...given)).toMatchObject({
    layers: undefined,
    experts: {
      placementFile: 'placement.json',
      rowType: 'float16',
      callTimeoutMs: 41,
      hedge: false,
      maxMessageBytes: 5_000_000,
      tls: tls('experts'),
    },
  });
  expect(configOf(...given.slice(1)).experts).toBeUndefined();
});

test('what layer shards are called by is there where layers are remote', () => {
  const own = ['--layers-row-type=float16', '--layers-steps-at-once=5', '--layers-call-timeout-ms=42'];
  const given = ['--layers-remote=true', ...own, ...tlsFlags('experts'), ...tlsFlags('layers'), ...common];
  expect(configOf(...given)).toMatchObject({
    experts: undefined,
    layers: {
      rowType: 'float16',
      stepsAtOnce: 5,
      callTimeoutMs: 42,
      maxMessageBytes: 5_000_000,
      tls: tls('layers'),
    },
  });
  expect(configOf(...given.slice(1)).layers).toBeUndefined();
});
