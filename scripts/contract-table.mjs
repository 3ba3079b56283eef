// The table of docs/contract.md: every field that a caller can set at the front door, and whether it is built.
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from '@bufbuild/protobuf/wkt';
import { unbuiltMethods, unbuiltRequestFields } from '@tessera/protocol';

const unbuilt = new Map(unbuiltRequestFields.map(({ field, what }) => [field, what]));

/** Of what a client sends, the messages that hold a whole conversation. */
const service = 'ChatService';
const root = '.tessera.v1.ChatStart';

/** @param files descriptors, as publicFiles gives them */
export function contractMarkdown(files) {
  const messages = new Map();
  for (const { messageType } of files) for (const each of messageType) messages.set(`.tessera.v1.${each.name}`, each);
  const methods = files.flatMap(({ service: services }) => services).find(({ name }) => name === service).method;
  const methodRows = methods.map(
    ({ name }) => `| \`${name}\` | ${unbuiltMethods.includes(name) ? refused() : 'built'} |`,
  );
  const fieldRows = fieldsOf(messages, root, '').map((path) => `| \`${path}\` | ${stateOf(path)} |`);
  return `| Method | |
|---|---|
${methodRows.join('\n')}

| Field of a conversation | |
|---|---|
${fieldRows.join('\n')}
`;
}

/** Paths of the leaves, and of messages without fields, in the order of their numbers. */
function fieldsOf(messages, type, prefix) {
  return messages.get(type).field.flatMap((field) => {
    const { name, label, typeName } = field;
    const inner = field.type === Type.MESSAGE ? messages.get(typeName) : undefined;
    const isMap = field.type === Type.MESSAGE && typeName.endsWith('Entry');
    const path = `${prefix}${name}${label === Label.REPEATED && inner !== undefined ? '[]' : ''}`;
    return isMap || inner === undefined || inner.field.length === 0 ? [path] : fieldsOf(messages, typeName, `${path}.`);
  });
}

function stateOf(path) {
  for (const [field, what] of unbuilt) {
    if (path !== field && !path.startsWith(`${field}.`) && !path.startsWith(`${field}[]`)) continue;
    return what === undefined ? refused() : `built, but for ${what}: ${refused()}`;
  }
  return 'built';
}

function refused() {
  return 'refused: UNSUPPORTED';
}
