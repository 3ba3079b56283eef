// The reference of @tessera/client: every public symbol with its TSDoc comment, as Markdown.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseSync } from 'oxc-parser';

const packages = resolve(import.meta.dirname, '../packages');

/** @throws Error for a public symbol without a comment */
export function clientMarkdown() {
  const index = join(packages, 'client/src/index.ts');
  const symbols = exportedNames(index).map((name) => findExport(index, name) ?? fail(`no declaration of ${name}`));
  const ranked = ['FunctionDeclaration', 'ClassDeclaration'];
  const rank = ({ node }) => (ranked.indexOf(node.type) + ranked.length + 1) % (ranked.length + 1);
  return symbols
    .sort((a, b) => rank(a) - rank(b))
    .map(section)
    .join('\n');
}

/** The declaration of what a module exports under a name, wherever it stands; undefined if it exports no such. */
function findExport(path, name) {
  const { source, program } = parsed(path);
  for (const statement of program.body) {
    const from = statement.source && resolved(path, statement.source.value);
    if (statement.type === 'ExportAllDeclaration') {
      const found = findExport(from, name);
      if (found !== undefined) return found;
    }
    if (statement.type !== 'ExportNamedDeclaration') continue;
    const specifier = statement.specifiers.find(({ exported }) => exported.name === name);
    if (specifier !== undefined && from !== null) return findExport(from, specifier.local.name);
    const node = statement.declaration;
    if (node?.id?.name === name) return { name, node, source, doc: docBefore(statement, source) };
  }
  return undefined;
}

/** The names that a module exports from others, as an index does. */
function exportedNames(path) {
  return parsed(path).program.body.flatMap(({ specifiers = [] }) => specifiers.map(({ exported }) => exported.name));
}

function parsed(path) {
  const code = readFileSync(path, 'utf8');
  const { program, comments } = parseSync(path, code);
  return { program, source: { path, code, comments } };
}

function resolved(path, specifier) {
  if (specifier.startsWith('.')) return join(dirname(path), specifier.replace(/\.js$/, '.ts'));
  return join(packages, specifier.replace('@tessera/', ''), 'src/index.ts');
}

/** The TSDoc comment that ends right before a node; undefined if there is none. */
function docBefore({ start }, { code, comments }) {
  const comment = comments.findLast(({ end }) => end <= start);
  if (comment?.type !== 'Block' || !comment.value.startsWith('*')) return undefined;
  if (code.slice(comment.end, start).trim() !== '') return undefined;
  const text = comment.value
    .slice(1)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join(' ')
    .trim();
  const [description = '', ...tags] = text.split(/(?:^| )@(?=[a-z])/);
  return { description: description.trim(), tags: tags.map((tag) => tag.trim()) };
}

function section({ name, node, source, doc }) {
  const { description, tags } = doc ?? fail(`${source.path}: ${name} has no comment`);
  return `## ${name}\n\n${[description, ...tags.map(tagLine)].join('\n\n')}\n\n${body(node, source)}`;
}

function body(node, source) {
  switch (node.type) {
    case 'FunctionDeclaration':
      return fenced(signature(node.id.name, node, source));
    case 'TSTypeAliasDeclaration':
      return fenced(`type ${node.id.name} = ${textOf(node.typeAnnotation, source).replace(/^\| /, '')}`);
    case 'TSInterfaceDeclaration':
      return inherited(node, source) + table(node.body.body.map((member) => propertyRow(member, source)));
    case 'ClassDeclaration':
      return members(node.body.body, source);
    default:
      return fail(`${source.path}: ${node.type} is not known here`);
  }
}

const inherited = (node, source) =>
  node.extends
    .map((parent) => `All of [${textOf(parent, source)}](#${textOf(parent, source).toLowerCase()}), and\n\n`)
    .join('');

function members(all, source) {
  const shown = all.filter((member) => isPublic(member, source));
  const methods = shown.filter(({ type, kind }) => type === 'MethodDefinition' && kind !== 'get');
  const sections = methods.map((member) => {
    const { description, tags } = docOf(member, source);
    const code = `${member.static ? 'static ' : ''}${signature(nameOf(member, source), member.value, source)}`;
    return `${fenced(code)}\n${[description, ...tags.map(tagLine)].join('\n\n')}\n`;
  });
  const given = all.filter(({ kind }) => kind === 'constructor').flatMap(({ value }) => value.params);
  const rows = [
    ...given.filter((each) => each.type === 'TSParameterProperty' && docBefore(each, source) !== undefined),
    ...shown.filter((member) => !methods.includes(member)),
  ].map((member) => propertyRow(member, source));
  return [...(rows.length > 0 ? [table(rows)] : []), ...sections].join('\n');
}

/** What is inherited says nothing new, and constructors are not for callers where they say nothing. */
function isPublic(member, source) {
  if (member.accessibility === 'private' || member.override) return false;
  return member.kind !== 'constructor' || docBefore(member, source)?.tags.includes('internal') === false;
}

function propertyRow(member, source) {
  const { parameter = member } = member;
  const { description, tags } = docOf(member, source);
  const type = parameter.typeAnnotation ?? member.value?.returnType;
  const name = `${nameOf(member, source)}${member.optional ? '?' : ''}`;
  const what = [description, ...tags.map(tagLine)].join(' ');
  return `| \`${name}\` | \`${cell(annotation(type, source))}\` | ${what} |`;
}

/** What tells the members of a union apart needs no words. */
function docOf(member, source) {
  const name = nameOf(member, source);
  const doc = docBefore(member, source) ?? (name === 'type' ? { description: '', tags: [] } : undefined);
  return doc ?? fail(`${source.path}: ${name} has no comment`);
}

function nameOf({ key, computed, parameter }, source) {
  if (parameter !== undefined) return parameter.name;
  return computed ? `[${textOf(key, source)}]` : textOf(key, source);
}

function signature(name, { params, returnType, async }, source) {
  const parameters = params.map((each) => parameter(each.parameter ?? each, source)).join(', ');
  const result = returnType == null ? '' : `: ${annotation(returnType, source)}`;
  return `${async && returnType == null ? 'async ' : ''}${name}(${parameters})${result}`;
}

/** A parameter with a default may be left out. */
function parameter(node, source) {
  if (node.type !== 'AssignmentPattern') return textOf(node, source);
  const { left, right } = node;
  const type = left.typeAnnotation == null ? `: ${typeof right.value}` : `: ${annotation(left.typeAnnotation, source)}`;
  return `${left.name}?${type}`;
}

const annotation = (node, source) => textOf(node, source).replace(/^:\s*/, '');

const textOf = ({ start, end }, { code }) => code.slice(start, end).replaceAll(/\s*\n\s*/g, ' ');

function tagLine(tag) {
  const [, kind = tag, rest = ''] = /^(\w+) ?(.*)$/.exec(tag) ?? [];
  if (kind === 'throws') return `Throws ${rest.replace(/\.?$/, '.')}`;
  if (kind === 'returns') return `Returns ${rest.replace(/\.?$/, '.')}`;
  if (kind === 'param') return `\`${rest.split(' ')[0]}\`: ${rest.split(' ').slice(1).join(' ').replace(/\.?$/, '.')}`;
  return fail(`@${kind} is not known here`);
}

const fenced = (code) => `\`\`\`ts\n${code}\n\`\`\`\n`;

const cell = (text) => text.replaceAll('|', '\\|');

const table = (rows) => `| | | |\n|---|---|---|\n${rows.join('\n')}\n`;

function fail(message) {
  throw new Error(message);
}
