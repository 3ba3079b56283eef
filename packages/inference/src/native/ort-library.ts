import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** What decides whether the library of onnxruntime-node can be loaded here. */
export interface Platform {
  readonly platform: string;
  readonly arch: string;
  /** Whether the C library is musl: ONNX Runtime's is linked with glibc. */
  readonly isMusl: boolean;
}

export type OrtLibrary = { readonly path: string } | { readonly missing: string };

const fileNames: Readonly<Record<string, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
};

/** The library that onnxruntime-node brings and its own binding loads, so that a process has only one; or why there is none. */
export function findOrtLibrary({ platform, arch, isMusl }: Platform = thisPlatform()): OrtLibrary {
  if (isMusl) return { missing: 'the C library of this system is musl, and ONNX Runtime needs glibc' };
  const fileName = fileNames[platform];
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const path = join(root, 'bin', 'napi-v6', platform, arch, fileName ?? '');
  if (fileName === undefined || !existsSync(path)) {
    return { missing: `onnxruntime-node brings no library for ${platform} on ${arch}` };
  }
  return { path };
}

function thisPlatform(): Platform {
  const { platform, arch } = process;
  return { platform, arch, isMusl: platform === 'linux' && interpreterOf(process.execPath).includes('/ld-musl-') };
}

/** The beginning of an ELF file, where the path of its dynamic linker stands. */
function interpreterOf(file: string): string {
  const head = Buffer.alloc(4096);
  const descriptor = openSync(file, 'r');
  try {
    const bytes = readSync(descriptor, head, 0, head.length, 0);
    return head.toString('latin1', 0, bytes);
  } finally {
    closeSync(descriptor);
  }
}
