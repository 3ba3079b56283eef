import { createHash } from 'node:crypto';
import { type ResponseFormat, TesseraError } from '@tessera/protocol';
import { buildProgram } from './build-program.js';
import type { ConstraintProgram } from './constraint-program.js';
import type { Grammar } from './grammar.js';
import { regexGrammar } from './regex-grammar.js';
import { anyObject, schemaGrammar } from './schema-grammar.js';

/** Bytes of a schema. */
const mostSchemaBytes = 64 * 1024;
/** Programs that are kept for the next request that asks for the same. */
const mostKept = 64;
const kept = new Map<string, ConstraintProgram>();

/**
 * Makes a program of what a request asks its text to be.
 * @param path what stands before the names of the fields
 * @throws TesseraError REQUEST_INVALID or UNSUPPORTED, naming the field, and in a schema the place
 */
export function compileFormat({ format }: ResponseFormat, path: string): ConstraintProgram {
  const field = `${path}response_format`;
  if (format === undefined) throw TesseraError.invalidField(field, 'does not say which format');
  const { name, source } = partsOf(format);
  const key = `${format.$case} ${createHash('sha256').update(source).digest('base64')}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  const program = programOf(format.$case, source, key, `${field}.${name}`);
  kept.set(key, program);
  if (kept.size > mostKept) kept.delete(kept.keys().next().value as string);
  return program;
}

type Format = NonNullable<ResponseFormat['format']>;

/** What a format is made of, and the field that has it. */
function partsOf(format: Format): { readonly name: string; readonly source: string } {
  switch (format.$case) {
    case 'jsonObject':
      return { name: 'json_object', source: '' };
    case 'jsonSchema':
      return { name: 'json_schema.schema', source: format.value.schema };
    case 'regex':
      return { name: 'regex', source: format.value };
  }
}

function programOf(kind: Format['$case'], source: string, key: string, field: string): ConstraintProgram {
  try {
    return buildProgram(grammarOf(kind, source, field), key, field);
  } catch (reason) {
    // The stack ends before any other limit does.
    if (reason instanceof RangeError) throw TesseraError.invalidField(field, 'is nested too deeply');
    throw reason;
  }
}

function grammarOf(kind: Format['$case'], source: string, field: string): Grammar {
  switch (kind) {
    case 'jsonObject':
      return anyObject;
    case 'jsonSchema':
      return schemaGrammar(parsed(source, field), field);
    case 'regex':
      return regexGrammar(source, { field, matches: 'whole' });
  }
}

function parsed(schema: string, field: string): unknown {
  if (Buffer.byteLength(schema) > mostSchemaBytes) {
    throw TesseraError.invalidField(field, `has more than ${mostSchemaBytes} bytes`);
  }
  try {
    return JSON.parse(schema);
  } catch (reason) {
    throw TesseraError.invalidField(field, `is no JSON: ${(reason as Error).message}`);
  }
}
