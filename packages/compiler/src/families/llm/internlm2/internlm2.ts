import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { headsOf } from '../decoder-fields.js';
import { denseDecoder } from '../dense-decoder.js';
import { internlm2Config } from './config.js';
import { packedProjections } from './packed-projections.js';
import { names } from './tensor-names.js';

/** InternLM2 and InternLM2.5, as the InternLM2ForCausalLM that is published with them: LLaMA under other names, packed. */
export const internlm2: Family<CausalLm> = family(internlm2Config, (config) =>
  denseDecoder(config, {
    names,
    bias: { qkv: config.bias, output: config.bias, mlp: false },
    headNorms: false,
    window: () => undefined,
    projections: (module) => packedProjections(module.at(names.packed), headsOf(config)),
  }),
);
