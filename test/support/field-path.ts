import { fromBinary } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';
import { readDescriptors } from '@tessera/protocol';

const messages = new Map<string, DescriptorProto>();
for (const { package: name, messageType } of fromBinary(FileDescriptorSetSchema, readDescriptors()).file) {
  for (const each of messageType) messages.set(`.${name}.${each.name}`, each);
}

/** Whether a path, such as `start.messages[0].content`, leads to a field of a message of tessera.v1. */
export function isFieldPath(message: string, path: string): boolean {
  let at: DescriptorProto | undefined = messages.get(`.tessera.v1.${message}`);
  if (at === undefined) throw new Error(`the contract has no message ${message}`);
  for (const step of path.split('.')) {
    const [, name, index] = /^(\w+)(\[\d+\])?$/.exec(step) ?? [];
    const field: DescriptorProto['field'][number] | undefined = at?.field.find((each) => each.name === name);
    if (field === undefined) return false;
    if (index !== undefined && field.label !== Label.REPEATED) return false;
    // What is in there is the caller's own.
    if (field.typeName === '.google.protobuf.Struct') return true;
    at = field.type === Type.MESSAGE ? messages.get(field.typeName) : undefined;
  }
  return true;
}
