import { expect, test } from 'vitest';
import { findOrtLibrary } from './ort-library.js';

const glibc = { platform: 'linux', isMusl: false };

test('the library is the one that onnxruntime-node brings for the platform', () => {
  expect(findOrtLibrary({ ...glibc, arch: 'x64' })).toEqual({
    path: expect.stringMatching(/onnxruntime-node\/bin\/napi-v6\/linux\/x64\/libonnxruntime\.so\.1$/),
  });
  expect(findOrtLibrary({ ...glibc, arch: 'arm64' })).toEqual({ path: expect.stringContaining('/linux/arm64/') });
  expect(findOrtLibrary({ platform: 'darwin', arch: 'arm64', isMusl: false })).toEqual({
    path: expect.stringMatching(/libonnxruntime\.1\.dylib$/),
  });
  expect(findOrtLibrary({ platform: 'win32', arch: 'x64', isMusl: false })).toEqual({
    path: expect.stringMatching(/onnxruntime\.dll$/),
  });
});

test.each([
  [{ platform: 'linux', arch: 'x64', isMusl: true }, 'musl'],
  [{ ...glibc, arch: 'riscv64' }, 'linux on riscv64'],
  [{ platform: 'freebsd', arch: 'x64', isMusl: false }, 'freebsd on x64'],
])('%o has none, and the reason says so', (platform, reason) => {
  expect(findOrtLibrary(platform)).toEqual({ missing: expect.stringContaining(reason) });
});

test('this machine has one', () => {
  expect(findOrtLibrary()).toHaveProperty('path');
});
