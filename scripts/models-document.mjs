import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { weightKinds } from '@tessera/bundle';

const root = resolve(import.meta.dirname, '..');
const conformance = join(root, 'test/conformance');
const read = (path) => readFileSync(join(root, path), 'utf8');

/** A number or a table of numbers that a test declares as `const NAME = …;`, so that the document says what the test holds. */
function declaredIn(path, name) {
  const [, text] = new RegExp(`^const ${name} = ([^;]+);`, 'm').exec(read(path)) ?? [];
  if (text === undefined) throw new Error(`${path} declares no ${name}`);
  const pairs = [...text.matchAll(/'?([\w-]+)'?: ([\d.e-]+)/g)].map(([, key, value]) => [key, Number(value)]);
  return pairs.length > 0 ? Object.fromEntries(pairs) : Number.parseFloat(text);
}

/** Whether a file of tests has one of these cases. */
const heldBy = (path, fixture) =>
  existsSync(join(conformance, path)) && read(`test/conformance/${path}`).includes(`'${fixture}'`);

/** What a config asks for, by feature: the words of a table's rows. */
function featuresOf({ config, dtype, prompt }) {
  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads ?? heads;
  const rope = config.rope_scaling ?? config.rope_parameters;
  const window = config.use_sliding_window === false ? undefined : (config.sliding_window ?? undefined);
  const biases = ['attention_bias', 'mlp_bias', 'bias', 'qkv_bias'].filter((field) => config[field] === true);
  const perToken = config.num_experts_per_tok;
  return {
    'stored as': [{ float32: 'F32', float16: 'F16', bfloat16: 'BF16' }[dtype] ?? dtype],
    attention: [
      kvHeads === heads ? 'MHA' : kvHeads === 1 ? 'MQA' : 'GQA',
      ...(config.head_dim !== undefined && config.head_dim * heads !== config.hidden_size
        ? ['head_dim of its own']
        : []),
    ],
    'sliding window': [
      window === undefined ? 'none' : window < prompt ? 'shorter than the prompt' : 'longer than the prompt',
      ...(config.layer_types?.includes('sliding_attention') ? ['by layer_types'] : []),
      ...(window !== undefined && config.max_window_layers > 0 && !config.layer_types
        ? ['from max_window_layers on']
        : []),
    ],
    'rotary scaling': [rope?.rope_type ?? rope?.type ?? 'none'],
    biases: biases.length > 0 ? biases : ['as the family has them'],
    'word embeddings': [config.tie_word_embeddings ? 'tied to the head' : 'apart from the head'],
    ...(perToken === undefined
      ? {}
      : {
          experts: [
            `top-${perToken}`,
            ...(config.shared_expert_intermediate_size ? ['a shared one'] : []),
            ...(config.norm_topk_prob === undefined ? [] : [`norm_topk_prob ${config.norm_topk_prob}`]),
            ...(config.decoder_sparse_step > 1 ? ['decoder_sparse_step'] : []),
            ...(config.mlp_only_layers?.length > 0 ? ['mlp_only_layers'] : []),
          ],
        }),
    ...(config.hidden_act === undefined ? {} : { activation: [config.hidden_act] }),
  };
}

/** Families by what their cases ask for: rows of feature, value and the fixtures that hold it. */
function familyRows(cases) {
  const rows = [];
  for (const family of [...new Set(cases.map(({ config }) => config.model_type))].sort()) {
    const found = new Map();
    for (const each of cases.filter(({ config }) => config.model_type === family)) {
      for (const [feature, values] of Object.entries(featuresOf(each))) {
        for (const value of values) {
          const key = `${feature}\n${value}`;
          found.set(key, [...(found.get(key) ?? []), each.name]);
        }
      }
    }
    for (const [key, names] of [...found].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const [feature, value] = key.split('\n');
      const isHeld = names.some((name) => existsSync(join(conformance, 'fixtures', name)));
      rows.push(
        `| \`${family}\` | ${feature} | ${value} | ${isHeld ? '*fixture-conformant*' : 'no fixture'} | ${names.join(', ')} |`,
      );
    }
  }
  return rows;
}

/** docs/models.md, from the cases of test/conformance, the bounds that its tests hold, and the tables of the compiler. */
export async function modelsMarkdown() {
  const cases = Object.entries(JSON.parse(read('test/conformance/cases.json'))).map(([name, each]) => ({
    name,
    ...each,
  }));
  const compiled = (path) => import(join(root, 'packages/compiler/dist', path));
  const { families } = await compiled('families/registry.js');
  const { dequantizers } = await compiled('gguf/dequantize.js');
  const { readBytes } = await compiled('checkpoint/widen.js');
  const { checkpointFiles } = await compiled('index.js');
  const missing = Object.keys(families.llm).filter(
    (family) => !cases.some(({ config }) => config.model_type === family),
  );
  if (missing.length > 0) throw new Error(`test/conformance/cases.json has no case of ${missing.join(', ')}`);
  const bounds = declaredIn('test/conformance/quantized.test.ts', 'bounds');
  const ggufTypes = Object.keys(dequantizers);
  const ggufCases = readdirSync(conformance).includes('gguf.test.ts')
    ? cases.filter(({ name }) => heldBy('gguf.test.ts', name))
    : [];
  const code = (names) => names.map((name) => `\`${name}\``).join(', ');
  return `# Models

Published language models are compiled as they are: a folder in Hugging Face's layout, a GGUF file, or an id on the hub
([pull.md](pull.md)). \`tessera inspect MODEL\` says whether a model is one of these; what is not built is refused by the name of
its field.

## Families

*fixture-conformant* means: of a toy model with random weights, made by transformers, the graph computes the same numbers as
transformers does in float32, at each seam (after each layer, after the last norm, the logits at each position and after
each of 8 decoded tokens) to ${declaredIn('test/conformance/float32.test.ts', 'bound')} of the largest value, and writes the
same continuation; a prompt in chunks and beside other sequences gives the same. No published revision of a family was run
but what stands below: a line that has been says which.

| family (\`model_type\`) | feature | value | status | fixtures |
|---|---|---|---|---|
${familyRows(cases).join('\n')}

Also built, for models with pictures: ${code([...Object.keys(families.vision), ...Object.keys(families.connector), ...Object.keys(families.generator)])}, held to
the demo model's goldens.

## Weights

| \`--weights\` | how far the logits of the fixtures may be from float32's (L2) |
|---|---|
${weightKinds.map((kind) => `| \`${kind}\` | ${kind === 'float32' ? 'the bound above' : (bounds[kind] ?? 'held by tests of single layers')} |`).join('\n')}

Random weights are the worst case: trained ones lose less. Head and router are kept finer.

## KV cache

\`--kv-cache float16\` of \`compile\` and \`up\` (charts: \`model.source.compile.kvCache\`) holds keys and values in half of the memory,
in slots, in beginnings that are kept, and in layer shards. Bytes of a token are

    2 x layers x KV heads x head width x 4, or x 2 with float16

so a LLaMA 3.1 8B (32 layers, 8 KV heads of 128) takes 256 KiB or 128 KiB, and 16 sequences of 8192 tokens 32 or 16 GiB.

Keys are rounded after they are turned; queries and what attention gives are rounded too, since ONNX Runtime's attention takes
one type for all. Of every fixture the logits stay within ${declaredIn('test/conformance/kv-cache.test.ts', 'bound')} of the largest value of transformers' float32, token by
token over prompt and continuation. Whole, in two pieces of layers, over two shards of experts and from a beginning that was kept
the numbers are the same bit for bit, as in float32; a prompt in chunks may differ by as much as the bound. A key or value
beyond 65,504 would be infinite: an answer whose logits are no numbers ends with \`MODEL_OUTPUT_INVALID\`.

A step of one token for each sequence takes longer, since rows are widened as they are read
([performance.md](performance.md#a-kv-cache-of-float16)); float32 is the default.

## Formats

| format | what is read |
|---|---|
| safetensors, one file or an index | ${code(Object.keys(readBytes))} (F8_E4M3 with its scales) |
| GGUF, one file or several | ${code(ggufTypes)} |
| beside safetensors | ${code(checkpointFiles)} |

${ggufCases.length > 0 ? `From GGUF the compiled model is that of the safetensors byte for byte, where the file stores the same values: ${ggufCases.map(({ name }) => name).join(', ')}.\n\n` : ''}Pickles (\`pytorch_model.bin\`) are never read.

${read('scripts/smollm2/results.md').trim()}
`;
}
