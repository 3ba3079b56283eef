// First: it must be evaluated before the library is loaded.
import '../no-telemetry.js';
import type { default as Koffi } from 'koffi';
import { OrtError } from './ort-error.js';
import { type OrtFunctions, ortApiVersion, ortFunctionTable, type Pointer, type PointerOut } from './ort-functions.js';

type KoffiModule = typeof Koffi;
type Library = ReturnType<KoffiModule['load']>;

/** Graphs run on a stack that koffi makes. Its own default for calls beside this thread, 128 KiB, is less than a kernel may use. */
const stackBytes = 8 * 2 ** 20;

/** ORT_LOGGING_LEVEL_WARNING: what onnxruntime-node's binding asks for, too. The first to come decides for the process. */
const logSeverity = 2;

/**
 * ONNX Runtime's C API, as far as it is used here.
 *
 * What the functions are handed must live until they return, and an array whose address ONNX Runtime keeps, as long as
 * that. koffi unloads a library whose handle is collected, so the handle is kept here.
 */
export class OrtApi {
  readonly #koffi: KoffiModule;
  readonly #library: Library;
  readonly functions: OrtFunctions;
  /** Of the library: `1.30.0`. */
  readonly version: string;
  /** OrtEnv: one for the process, counted by ONNX Runtime. Not released: sessions of other threads share it. */
  readonly env: Pointer;

  private constructor(koffi: KoffiModule, libraryPath: string) {
    this.#koffi = koffi;
    this.#library = koffi.load(libraryPath);
    const base = koffi.decode(this.#library.func('OrtGetApiBase', 'void *', [])(), koffi.array('void *', 2));
    const getApi = koffi.decode(base[0], koffi.proto('const void *OrtGetApi(uint32_t version)'));
    const getVersion = koffi.decode(base[1], koffi.proto('const char *OrtGetVersionString()'));
    this.version = getVersion();
    const api: Pointer = getApi(ortApiVersion);
    if (api === null) throw new Error(`ONNX Runtime ${this.version} has no C API of version ${ortApiVersion}`);
    const entries = Object.entries(ortFunctionTable);
    const length = Math.max(...entries.map(([, { index }]) => index)) + 1;
    const pointers: Pointer[] = koffi.decode(api, koffi.array('void *', length));
    const functions = entries.map(([name, { index, result, parameters }]) => [
      name,
      koffi.decode(pointers[index], koffi.proto(`${result} Ort${name}(${parameters.join(', ')})`)),
    ]);
    this.functions = Object.fromEntries(functions);
    this.env = this.make((env) => this.functions.CreateEnv(logSeverity, 'tessera', env));
  }

  /** @throws Error when koffi or the library cannot be loaded here */
  static async load(libraryPath: string): Promise<OrtApi> {
    const { default: koffi } = await import('koffi');
    koffi.config({ ...koffi.config(), sync_stack_size: stackBytes, async_stack_size: stackBytes });
    return new OrtApi(koffi, libraryPath);
  }

  /** @throws OrtError when the status says a failure; the status is freed */
  check(status: Pointer): void {
    if (status === null) return;
    const { GetErrorCode, GetErrorMessage, ReleaseStatus } = this.functions;
    const error = new OrtError(GetErrorCode(status), GetErrorMessage(status));
    ReleaseStatus(status);
    throw error;
  }

  /** What a function gives by its output parameter. @throws OrtError */
  make(create: (out: PointerOut) => Pointer): Pointer {
    const out: PointerOut = [null];
    this.check(create(out));
    return out[0];
  }

  /** The string that begins at an address. */
  readString(address: Pointer): string {
    return this.#koffi.decode.string(address);
  }

  /** A number that a function gives by its output parameter. @throws OrtError */
  number(get: (out: [number]) => Pointer): number {
    const out: [number] = [0];
    this.check(get(out));
    return Number(out[0]);
  }
}
