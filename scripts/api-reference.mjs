// The API reference: every service, method, message, field and enum of proto/tessera/v1 with its comment, as Markdown.
import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { fromBinary, isFieldSet } from '@bufbuild/protobuf';
import {
  FieldDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';

const root = resolve(import.meta.dirname, '..');

/** The public contract. What travels on NATS only is tessera/bus: kept apart by the bus's version, and no caller sees it. */
const publicFolder = 'tessera/v1/';

/** Field numbers of descriptor.proto, of which the path to a comment is made. */
const inFile = { messages: 4, enums: 5, services: 6 };
const inMessage = { fields: 2, messages: 3, enums: 4, oneofs: 8 };
const inEnum = { values: 2 };
const inService = { methods: 2 };

/**
 * The files of the public contract, the front door's first. They are read from the sources, not from the set that the last
 * build embedded, so that a check without a build sees a changed comment.
 */
export function publicFiles() {
  const set = execFileSync(join(root, 'node_modules/.bin/buf'), ['build', '--as-file-descriptor-set', '-o', '-'], {
    cwd: root,
  });
  const rank = ({ name, service }) => `${service.length > 0 ? 0 : 1}${name}`;
  return fromBinary(FileDescriptorSetSchema, set)
    .file.filter(({ name }) => name.startsWith(publicFolder))
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

/** @param files descriptors with source info, as publicFiles gives them */
export function apiMarkdown(files) {
  return files.map(fileSection).join('\n');
}

function fileSection(file) {
  const comments = new Map(
    (file.sourceCodeInfo?.location ?? []).map(({ path, leadingComments }) => [path.join('.'), leadingComments]),
  );
  const say = (...path) => (comments.get(path.join('.')) ?? '').trim().replaceAll(/\s*\n\s*/g, ' ');
  const parts = [
    ...file.service.map((service, index) => serviceSection(service, [inFile.services, index], say)),
    ...file.messageType.flatMap((message, index) => messageSections(message, [inFile.messages, index], say, '')),
    ...file.enumType.map((each, index) => enumSection(each, [inFile.enums, index], say, '')),
  ];
  return `## ${file.name}\n\n${parts.join('\n')}`;
}

function serviceSection(service, path, say) {
  const rows = service.method.map((method, index) => {
    const stream = (streams, type) => `${streams ? 'stream of ' : ''}${typeLink(type)}`;
    const request = stream(method.clientStreaming, method.inputType);
    const response = stream(method.serverStreaming, method.outputType);
    return row(`\`${method.name}\``, request, response, say(...path, inService.methods, index));
  });
  return section(service.name, say(...path), ['Method', 'Request', 'Response', 'Meaning'], rows);
}

function messageSections(message, path, say, outer) {
  const name = `${outer}${message.name}`;
  const rows = message.field.map((field, index) =>
    row(
      `\`${field.name}\``,
      field.number,
      fieldType(field, message),
      oneofOf(message, field),
      say(...path, inMessage.fields, index),
    ),
  );
  const oneofs = message.oneofDecl
    .map(({ name: oneof }, index) => [oneof, say(...path, inMessage.oneofs, index)])
    .filter(([, comment]) => comment !== '')
    .map(([oneof, comment]) => `\`${oneof}\`, one of its fields: ${comment}`);
  const text = [say(...path), ...oneofs].join('\n\n');
  return [
    section(name, text, ['Field', 'Number', 'Type', 'Present', 'Meaning'], rows),
    ...message.nestedType.flatMap((nested, index) =>
      nested.options?.mapEntry ? [] : messageSections(nested, [...path, inMessage.messages, index], say, `${name}.`),
    ),
    ...message.enumType.map((each, index) => enumSection(each, [...path, inMessage.enums, index], say, `${name}.`)),
  ];
}

function enumSection(each, path, say, outer) {
  const rows = each.value.map((value, index) =>
    row(`\`${value.name}\``, value.number, say(...path, inEnum.values, index)),
  );
  return section(`${outer}${each.name}`, say(...path), ['Value', 'Number', 'Meaning'], rows);
}

function section(name, text, columns, rows) {
  const table = rows.length === 0 ? [] : ['', row(...columns), `|${columns.map(() => '---').join('|')}|`, ...rows];
  return [`### ${name}`, '', text, ...table, ''].join('\n');
}

function row(...cells) {
  return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
}

function fieldType(field, message) {
  const entry = message.nestedType.find(
    ({ name, options }) => options?.mapEntry && field.typeName.endsWith(`.${name}`),
  );
  if (entry !== undefined) {
    const [key, value] = entry.field.map((each) => fieldType(each, entry).replaceAll('`', ''));
    return `\`map<${key}, ${value}>\``;
  }
  const type = field.typeName === '' ? `\`${Type[field.type].toLowerCase()}\`` : typeLink(field.typeName);
  return field.label === Label.REPEATED ? `repeated ${type}` : type;
}

/** When a field is there: always (with its type's zero where it is not sent), if it is sent, or as one of several. */
function oneofOf(message, field) {
  if (field.proto3Optional) return 'optional';
  const isOneOf = isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex);
  return isOneOf ? `one of \`${message.oneofDecl[field.oneofIndex].name}\`` : '';
}

/** `.tessera.v1.ChatStart` as a link to its section; types of protobuf's own have none. */
function typeLink(typeName) {
  if (!typeName.startsWith('.tessera.v1.')) return `\`${typeName.slice(1)}\``;
  const name = typeName.replace(/^\.tessera\.v1\./, '');
  return `[${name}](#${name.toLowerCase().replaceAll('.', '')})`;
}
