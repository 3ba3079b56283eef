import type { DType } from '@tessera/protocol';

/** ONNXTensorElementDataType. */
export const elementTypes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

export function dtypeOf(elementType: number): DType | undefined {
  return (Object.keys(elementTypes) as DType[]).find((dtype) => elementTypes[dtype] === elementType);
}
