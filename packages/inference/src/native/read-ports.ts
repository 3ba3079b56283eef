import { TesseraError } from '@tessera/protocol';
import type { TensorPort } from '../bound/placed-tensor.js';
import { dtypeOf } from './element-types.js';
import type { OrtApi } from './ort-api.js';
import type { Pointer } from './ort-functions.js';

/** The inputs or outputs of a session. @throws TesseraError CHECKPOINT_INVALID on one that is no tensor of a known type */
export function readPorts(api: OrtApi, session: Pointer, side: 'input' | 'output'): TensorPort[] {
  const { functions } = api;
  const [getCount, getName, getTypeInfo] =
    side === 'input'
      ? [functions.SessionGetInputCount, functions.SessionGetInputName, functions.SessionGetInputTypeInfo]
      : [functions.SessionGetOutputCount, functions.SessionGetOutputName, functions.SessionGetOutputTypeInfo];
  const allocator = api.make((out) => functions.GetAllocatorWithDefaultOptions(out));
  const count = api.number((out) => getCount(session, out));
  return Array.from({ length: count }, (_, index) => {
    const nameMemory = api.make((out) => getName(session, index, allocator, out));
    const name = api.readString(nameMemory);
    api.check(functions.AllocatorFree(allocator, nameMemory));
    const typeInfo = api.make((out) => getTypeInfo(session, index, out));
    try {
      return { name, ...readTensorType(api, typeInfo, name) };
    } finally {
      functions.ReleaseTypeInfo(typeInfo);
    }
  });
}

function readTensorType(api: OrtApi, typeInfo: Pointer, name: string): Omit<TensorPort, 'name'> {
  const { functions } = api;
  // Part of the type, and freed with it. Null for a sequence or a map.
  const info = api.make((out) => functions.CastTypeInfoToTensorInfo(typeInfo, out));
  const dtype = info === null ? undefined : dtypeOf(api.number((out) => functions.GetTensorElementType(info, out)));
  if (dtype === undefined) {
    throw new TesseraError('CHECKPOINT_INVALID', `${name} of the graph is no tensor of a type that is known here`);
  }
  const rank = api.number((out) => functions.GetDimensionsCount(info, out));
  const sizes = new BigInt64Array(rank);
  const names = new BigUint64Array(rank);
  api.check(functions.GetDimensions(info, sizes, rank));
  api.check(functions.GetSymbolicDimensions(info, names, rank));
  const shape = [...sizes].map((size, at) => (size < 0n ? api.readString(names[at] as bigint) : Number(size)));
  return { dtype, shape };
}
