import { Checkpoint } from '../checkpoint/checkpoint.js';
import { readJson } from '../checkpoint/read-json.js';
import type { WeightPrecision } from '../graph/index.js';
import { writeGraph } from '../graph/write-graph.js';
import { modulePlaced } from '../models/model-plan.js';
import { planModel } from '../models/plan-model.js';
import { type CausalLm, causalLmGraph } from '../stages/causal-lm.js';

/** The output that has the hidden state after a layer: float32 [batch, seq, hidden]. */
export const layerOutput = (layer: number): string => `layer.${layer}`;

/** Writes a checkpoint's llm.onnx with the hidden state after each layer as an output more. */
export async function writeWithLayerOutputs(dir: string, path: string, precision: WeightPrecision): Promise<void> {
  const { stages } = planModel(await readJson(dir, 'config.json'));
  if (stages === undefined) throw new Error(`${dir} cannot be compiled`);
  const { pieces } = stages.llm;
  const shown: CausalLm = {
    ...pieces,
    layer: (index, hidden, ...rest) => {
      const result = pieces.layer(index, hidden, ...rest);
      const shape = ['batch', 'seq', pieces.section.hiddenSize];
      hidden.graph.output(layerOutput(index), result.hidden, 'float32', shape);
      return result;
    },
  };
  const checkpoint = await Checkpoint.open(dir);
  try {
    await writeGraph(causalLmGraph(shown, modulePlaced(checkpoint, stages.llm), precision), path);
  } finally {
    await checkpoint.close();
  }
}
