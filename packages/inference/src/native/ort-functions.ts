/** A C pointer; null is C's. */
export type Pointer = bigint | null;

/** For an output parameter: a place for one pointer. */
export type PointerOut = [Pointer];

/** OrtStatus: null when all went well. */
type Status = Pointer;

/** A function as koffi makes it: called in this thread, or on one of libuv's. */
interface NativeFunction<Args extends readonly unknown[], Result> {
  (...args: Args): Result;
  async(...args: [...Args, (error: Error | null | undefined, result: Result) => void]): void;
}

/** The functions of ONNX Runtime's C API that are used here, under its own names. Pointers are named by what they point to. */
export interface OrtFunctions {
  GetErrorCode(status: Status): number;
  GetErrorMessage(status: Status): string;
  CreateEnv(severity: number, logId: string, env: PointerOut): Status;
  CreateSession(env: Pointer, path: string, options: Pointer, session: PointerOut): Status;
  CreateSessionOptions(options: PointerOut): Status;
  SetIntraOpNumThreads(options: Pointer, threads: number): Status;
  SetInterOpNumThreads(options: Pointer, threads: number): Status;
  SessionGetInputCount(session: Pointer, count: [number]): Status;
  SessionGetOutputCount(session: Pointer, count: [number]): Status;
  SessionGetInputTypeInfo(session: Pointer, index: number, typeInfo: PointerOut): Status;
  SessionGetOutputTypeInfo(session: Pointer, index: number, typeInfo: PointerOut): Status;
  SessionGetInputName(session: Pointer, index: number, allocator: Pointer, name: PointerOut): Status;
  SessionGetOutputName(session: Pointer, index: number, allocator: Pointer, name: PointerOut): Status;
  CreateTensorWithDataAsOrtValue(
    memoryInfo: Pointer,
    data: NodeJS.ArrayBufferView | Pointer,
    bytes: number,
    shape: BigInt64Array,
    rank: number,
    elementType: number,
    value: PointerOut,
  ): Status;
  CastTypeInfoToTensorInfo(typeInfo: Pointer, tensorInfo: PointerOut): Status;
  GetTensorElementType(tensorInfo: Pointer, elementType: [number]): Status;
  GetDimensionsCount(tensorInfo: Pointer, rank: [number]): Status;
  GetDimensions(tensorInfo: Pointer, sizes: BigInt64Array, rank: number): Status;
  GetSymbolicDimensions(tensorInfo: Pointer, names: BigUint64Array, rank: number): Status;
  CreateMemoryInfo(
    name: string,
    allocatorType: number,
    deviceId: number,
    memoryType: number,
    memoryInfo: PointerOut,
  ): Status;
  AllocatorAlloc(allocator: Pointer, bytes: number, memory: PointerOut): Status;
  AllocatorFree(allocator: Pointer, memory: Pointer): Status;
  GetAllocatorWithDefaultOptions(allocator: PointerOut): Status;
  ReleaseStatus(status: Status): void;
  ReleaseMemoryInfo(memoryInfo: Pointer): void;
  ReleaseSession(session: Pointer): void;
  ReleaseValue(value: Pointer): void;
  ReleaseTypeInfo(typeInfo: Pointer): void;
  ReleaseSessionOptions(options: Pointer): void;
  AddSessionConfigEntry(options: Pointer, key: string, value: string): Status;
  CreateAllocator(session: Pointer, memoryInfo: Pointer, allocator: PointerOut): Status;
  ReleaseAllocator(allocator: Pointer): void;
  readonly RunWithBinding: NativeFunction<[session: Pointer, runOptions: null, binding: Pointer], Status>;
  CreateIoBinding(session: Pointer, binding: PointerOut): Status;
  ReleaseIoBinding(binding: Pointer): void;
  BindInput(binding: Pointer, name: string, value: Pointer): Status;
  BindOutput(binding: Pointer, name: string, value: Pointer): Status;
  SessionOptionsAppendExecutionProvider_CUDA_V2(options: Pointer, cudaOptions: Pointer): Status;
  CreateCUDAProviderOptions(cudaOptions: PointerOut): Status;
  UpdateCUDAProviderOptions(cudaOptions: Pointer, keys: string[], values: string[], count: number): Status;
  ReleaseCUDAProviderOptions(cudaOptions: Pointer): void;
}

type Name = keyof OrtFunctions;

const status = 'void *';
const pointer = 'void *';
const outPointer = '_Out_ void **';
const outInt = '_Out_ int *';
const outSize = '_Out_ size_t *';
/** The path of a file: wide characters on Windows. */
const path = process.platform === 'win32' ? 'const char16_t *' : 'const char *';

export interface OrtFunctionEntry {
  /** Its place in the OrtApi structure. */
  readonly index: number;
  readonly result: string;
  readonly parameters: readonly string[];
}

const entry = (index: number, result: string, ...parameters: string[]): OrtFunctionEntry => ({
  index,
  result,
  parameters,
});

/** The version of the OrtApi structure that is asked for. Members are only ever added at its end, so the places below stay. */
export const ortApiVersion = 23;

/** Where the functions stand in the OrtApi structure (onnxruntime_c_api.h), and their types in C. */
export const ortFunctionTable: Readonly<Record<Name, OrtFunctionEntry>> = {
  GetErrorCode: entry(1, 'int', pointer),
  GetErrorMessage: entry(2, 'const char *', pointer),
  CreateEnv: entry(3, status, 'int', 'const char *', outPointer),
  CreateSession: entry(7, status, pointer, path, pointer, outPointer),
  CreateSessionOptions: entry(10, status, outPointer),
  SetIntraOpNumThreads: entry(24, status, pointer, 'int'),
  SetInterOpNumThreads: entry(25, status, pointer, 'int'),
  SessionGetInputCount: entry(30, status, pointer, outSize),
  SessionGetOutputCount: entry(31, status, pointer, outSize),
  SessionGetInputTypeInfo: entry(33, status, pointer, 'size_t', outPointer),
  SessionGetOutputTypeInfo: entry(34, status, pointer, 'size_t', outPointer),
  SessionGetInputName: entry(36, status, pointer, 'size_t', pointer, outPointer),
  SessionGetOutputName: entry(37, status, pointer, 'size_t', pointer, outPointer),
  CreateTensorWithDataAsOrtValue: entry(
    49,
    status,
    pointer,
    pointer,
    'size_t',
    'const int64_t *',
    'size_t',
    'int',
    outPointer,
  ),
  CastTypeInfoToTensorInfo: entry(55, status, pointer, outPointer),
  GetTensorElementType: entry(60, status, pointer, outInt),
  GetDimensionsCount: entry(61, status, pointer, outSize),
  GetDimensions: entry(62, status, pointer, '_Out_ int64_t *', 'size_t'),
  GetSymbolicDimensions: entry(63, status, pointer, '_Out_ uint64_t *', 'size_t'),
  CreateMemoryInfo: entry(68, status, 'const char *', 'int', 'int', 'int', outPointer),
  AllocatorAlloc: entry(75, status, pointer, 'size_t', outPointer),
  AllocatorFree: entry(76, status, pointer, pointer),
  GetAllocatorWithDefaultOptions: entry(78, status, outPointer),
  ReleaseStatus: entry(93, 'void', pointer),
  ReleaseMemoryInfo: entry(94, 'void', pointer),
  ReleaseSession: entry(95, 'void', pointer),
  ReleaseValue: entry(96, 'void', pointer),
  ReleaseTypeInfo: entry(98, 'void', pointer),
  ReleaseSessionOptions: entry(100, 'void', pointer),
  AddSessionConfigEntry: entry(130, status, pointer, 'const char *', 'const char *'),
  CreateAllocator: entry(131, status, pointer, pointer, outPointer),
  ReleaseAllocator: entry(132, 'void', pointer),
  RunWithBinding: entry(133, status, pointer, pointer, pointer),
  CreateIoBinding: entry(134, status, pointer, outPointer),
  ReleaseIoBinding: entry(135, 'void', pointer),
  BindInput: entry(136, status, pointer, 'const char *', pointer),
  BindOutput: entry(137, status, pointer, 'const char *', pointer),
  SessionOptionsAppendExecutionProvider_CUDA_V2: entry(204, status, pointer, pointer),
  CreateCUDAProviderOptions: entry(205, status, outPointer),
  UpdateCUDAProviderOptions: entry(206, status, pointer, 'const char **', 'const char **', 'size_t'),
  ReleaseCUDAProviderOptions: entry(208, 'void', pointer),
};
