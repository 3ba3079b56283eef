import type { Bundle } from '@tessera/bundle';
import { type BoundSession, createBoundSession } from '@tessera/inference';
import { requireCut } from '../model/expert-cut.js';
import type { HostCacheOptions } from '../model/host-cache.js';
import type { ModelExecutor } from '../model/model-executor.js';
import { MoeExecutor, openSections } from '../model/moe-executor.js';
import { OnnxExecutor } from '../model/onnx-executor.js';
import { PipelineExecutor } from '../model/pipeline-executor.js';
import type { Elsewhere, EngineConfig, OpenedBackend } from './engine-config.js';

/** The model, or what of it is here. */
export async function openExecutor(
  bundle: Bundle,
  { session, layers }: EngineConfig,
  size: HostCacheOptions,
  elsewhere: Elsewhere,
): Promise<{ readonly executor: ModelExecutor; readonly opened: OpenedBackend }> {
  const { llm } = bundle.manifest;
  if (layers !== undefined && elsewhere.layers !== undefined) {
    const { head, pieces } = bundle.layerPieces;
    // So that what comes from the shards is passed on while this piece is computed.
    const options = { ...session, runs: 'in-pool' } as const;
    const first = await createBoundSession(bundle.file(pieces[0]?.graph ?? ''), options);
    const ends = { first, head: await createBoundSession(bundle.file(head), options) };
    const { stepsAtOnce } = layers;
    return { executor: new PipelineExecutor(ends, llm, elsewhere.layers, { ...size, stepsAtOnce }), opened: first };
  }
  if (elsewhere.experts !== undefined) {
    const cut = requireCut(bundle);
    const sections = await openSections(bundle, cut, session);
    const executor = new MoeExecutor(sections, { ...llm, experts: cut }, elsewhere.experts, size);
    return { executor, opened: sections[0] as BoundSession };
  }
  const graph = await createBoundSession(bundle.file(llm.graph), session);
  return { executor: new OnnxExecutor(graph, llm, size), opened: graph };
}
