import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hubSurroundings } from './surroundings.js';

test('without variables it is the public hub and the usual cache', async () => {
  expect(await hubSurroundings({ HF_TOKEN_PATH: '/nowhere/token' })).toEqual({
    endpoint: 'https://huggingface.co',
    cacheDir: join(homedir(), '.cache/huggingface/hub'),
    token: undefined,
    timeoutMs: 30_000,
    offline: false,
  });
});

test.each([
  [{ HF_HUB_CACHE: '/c', HF_HOME: '/h' }, '/c'],
  [{ HUGGINGFACE_HUB_CACHE: '/c', HF_HOME: '/h' }, '/c'],
  [{ HF_HOME: '/h', XDG_CACHE_HOME: '/x', HF_HUB_CACHE: '' }, '/h/hub'],
  [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
  [{ HF_HOME: '~/models' }, join(homedir(), 'models/hub')],
])('%o has the cache at %s', async (env, cacheDir) => {
  expect(await hubSurroundings(env)).toMatchObject({ cacheDir });
});

test('a token is that of the variable, else of the file that a login left', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tessera-hub-'));
  try {
    writeFileSync(join(home, 'token'), 'hf_of-the-file\n');
    expect(await hubSurroundings({ HF_HOME: home })).toMatchObject({ token: 'hf_of-the-file' });
    expect(await hubSurroundings({ HF_HOME: home, HF_TOKEN: ' hf_of-the-variable ' })).toMatchObject({
      token: 'hf_of-the-variable',
    });
    expect(await hubSurroundings({ HF_HOME: '/h', HF_TOKEN_PATH: join(home, 'token') })).toMatchObject({
      token: 'hf_of-the-file',
    });
  } finally {
    rmSync(home, { recursive: true });
  }
});

test.each(['1', 'true', 'YES', 'on'])('HF_HUB_OFFLINE=%s is offline', async (value) => {
  expect(await hubSurroundings({ HF_HUB_OFFLINE: value })).toMatchObject({ offline: true });
  expect(await hubSurroundings({ TRANSFORMERS_OFFLINE: value })).toMatchObject({ offline: true });
});

test.each([
  [{ HF_ENDPOINT: 'hub.example' }, /HF_ENDPOINT is "hub\.example"; it is a URL/],
  [{ HF_ENDPOINT: 'ftp://hub.example' }, /HF_ENDPOINT/],
  [{ HF_ENDPOINT: 'https://me:secret@hub.example' }, /has a password in it/],
  [{ HF_TOKEN: 'two words' }, /is not one word/],
  [{ HF_HUB_DOWNLOAD_TIMEOUT: 'long' }, /HF_HUB_DOWNLOAD_TIMEOUT is "long"/],
])('%o is refused', async (env, message) => {
  await expect(hubSurroundings(env)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(message),
  });
});

test('more than 300 s of silence, which other tools may allow, are taken for 300', async () => {
  expect(await hubSurroundings({ HF_HUB_DOWNLOAD_TIMEOUT: '600' })).toMatchObject({ timeoutMs: 300_000 });
});

test('an endpoint has no slash at its end, and seconds may be fractions', async () => {
  expect(
    await hubSurroundings({ HF_ENDPOINT: 'http://mirror.example/hf/', HF_HUB_DOWNLOAD_TIMEOUT: '0.5' }),
  ).toMatchObject({
    endpoint: 'http://mirror.example/hf',
    timeoutMs: 500,
  });
});
