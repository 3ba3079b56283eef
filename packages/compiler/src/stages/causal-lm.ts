import type { LlmSection } from '@tessera/bundle';
import type { Module } from '../checkpoint/parameters.js';
import { type Dimension, GraphBuilder, gatherNd, scatterNd, type Value, type WeightPrecision } from '../graph/index.js';
import type {
  AttendedLayer,
  AttentionInputs,
  DecoderLayerResult,
  KeyValue,
  RotaryTables,
  Routing,
} from '../layers/index.js';

/** A family's layers of routed experts, each in its parts. */
export interface RoutedExperts {
  /** Experts of each layer that has them. */
  readonly experts: number;
  /** Experts that each row goes to. */
  readonly chosen: number;
  /** The layers that have experts, from the first. */
  readonly layers: readonly number[];
  /** The layer as far as its experts. */
  attend(layer: number, hidden: Value, past: KeyValue, attention: AttentionInputs, weights: Module): AttendedLayer;
  /** Where its rows go: normed [batch, seq, hiddenSize] -> [batch * seq, chosen]. */
  route(layer: number, normed: Value, weights: Module): Routing;
  /** rows [n, hiddenSize] -> [n, hiddenSize]; n may be 0. */
  expert(layer: number, expert: number, rows: Value, weights: Module): Value;
}

/**
 * The pieces of an LLM family, opened with a config. Each can stand in a graph of its own, so that a model can be cut at
 * any layer and any expert.
 */
export interface CausalLm {
  /** Its section of the manifest, but for the graph's file and the tokens. */
  readonly section: Omit<LlmSection, 'graph' | 'eosTokenIds' | 'tokens'>;
  /** ids int64 [batch, seq] -> [batch, seq, hiddenSize]. */
  embed(ids: Value, weights: Module): Value;
  rotaryTables(g: GraphBuilder): RotaryTables;
  layer(index: number, hidden: Value, past: KeyValue, attention: AttentionInputs, weights: Module): DecoderLayerResult;
  /** Only where some layers have experts. */
  readonly routed?: RoutedExperts;
  /** The norm after the last layer. */
  finalNorm(hidden: Value, weights: Module): Value;
  /** rows [n, hiddenSize], normed -> [n, vocabSize]. */
  logits(rows: Value, weights: Module): Value;
  /** Names of tensors that may be published and are not read: a head of its own where it is tied to the embedding. */
  readonly unread: readonly string[];
}

/**
 * llm.onnx: one step of any mixture of sequences. batch and seq are at least 1.
 *
 * Inputs:
 * - input_ids int64 [batch, seq]
 * - media_embeddings float32 [media_rows, hidden] and media_positions int64 [media_rows, 2]: rows that stand in place of
 *   the embeddings at (row, column) of input_ids; media_rows may be 0
 * - position_ids int64 [batch, seq]
 * - past_key.L, past_value.L [batch, kvHeads, capacity, headDim], float32 or what the section's kvCache says: each
 *   sequence's cache from its row 0 on
 * - seqlens_k int32 [batch]: each sequence's length with this step's tokens, less one
 * - total_sequence_length int32 [1]: the largest length
 * - logit_positions int64 [logit_rows, 2]: the (row, column) of input_ids after which logits are wanted, at least one
 *
 * Outputs:
 * - logits float32 [logit_rows, vocab], in the order of logit_positions
 * - hidden float32 [batch, seq, hidden], after the last norm
 * - new_key.L, new_value.L [batch, seq, kvHeads * headDim], of the cache's type: the rows to append to it, as they were computed.
 *   To lay them as the cache lies took 7 % of a token (135 million parameters in int4) also where nobody fetched them
 * - present_key.L, present_value.L: the cache with those rows in it, for a caller who binds past and present to one
 *   buffer; others do not fetch them
 *
 * What ONNX Runtime's CPU attention allows in one call: several sequences of different lengths from their beginning,
 * padded on the right; one sequence over a past; or one token for each of several sequences over pasts of any length.
 *
 * `capacity` must be at least what the longest sequence has before this step (0 before the first). The present then has
 * max(capacity, total_sequence_length) rows. Where past and present are not one buffer, all of them are copied: show the
 * cache as tight as it is (16 sequences of 100 rows, demo model, one thread: 14 ms a step with capacity 100, 29 ms with
 * 512, 47 ms with 2048). Where they are one buffer, capacity must be at least total_sequence_length.
 *
 * A sequence's results do not depend on what else is in the batch, bit for bit; a prompt's last token run as a chunk of
 * its own rounds differently in the last places.
 */
export function causalLmGraph(model: CausalLm, weights: Module, precision: WeightPrecision): GraphBuilder {
  const { layers } = model.section;
  const g = new GraphBuilder('llm', precision);
  let hidden = embeddedInputs(g, model, weights);
  const attention = attentionInputs(g, model);
  const wanted = logitPositions(g);

  for (let layer = 0; layer < layers; layer++) {
    hidden = cachedLayer(g, model, layer, (past) => model.layer(layer, hidden, past, attention, weights)).hidden;
  }
  head(g, model, hidden, wanted, weights);
  return g;
}

/** What the first layer is given: the tokens' embeddings, and visual tokens in place of some. [batch, seq, hidden]. */
export function embeddedInputs(g: GraphBuilder, model: CausalLm, weights: Module): Value {
  const ids = g.input('input_ids', 'int64', ['batch', 'seq']);
  const media = g.input('media_embeddings', 'float32', ['media_rows', model.section.hiddenSize]);
  const mediaPositions = g.input('media_positions', 'int64', ['media_rows', 2]);
  return scatterNd(model.embed(ids, weights), mediaPositions, media);
}

/** What a later part of the model is given: what the one before it gave. [batch, seq, hidden]. */
export function hiddenInput(g: GraphBuilder, { section: { hiddenSize } }: CausalLm): Value {
  return g.input('input_hidden', 'float32', ['batch', 'seq', hiddenSize]);
}

/** What the attention of every layer in the graph shares. */
export function attentionInputs(g: GraphBuilder, model: CausalLm): AttentionInputs {
  return {
    positions: g.input('position_ids', 'int64', ['batch', 'seq']),
    lastPositions: g.input('seqlens_k', 'int32', ['batch']),
    totalLength: g.input('total_sequence_length', 'int32', [1]),
    tables: model.rotaryTables(g),
    cacheType: model.section.kvCache ?? 'float32',
  };
}

/** A layer, or the part of it that has the cache, between inputs and outputs for that cache. */
export function cachedLayer<Result extends Pick<DecoderLayerResult, 'fresh' | 'present'>>(
  g: GraphBuilder,
  { section: { kvHeads, headDim, kvCache = 'float32' } }: CausalLm,
  layer: number,
  build: (past: KeyValue) => Result,
): Result {
  const input = (kind: string): Value =>
    g.input(`past_${kind}.${layer}`, kvCache, ['batch', kvHeads, 'capacity', headDim]);
  const output = (name: string, { key, value }: KeyValue, shape: readonly Dimension[]): void => {
    g.output(`${name}_key.${layer}`, key, kvCache, shape);
    g.output(`${name}_value.${layer}`, value, kvCache, shape);
  };
  const past = { key: input('key'), value: input('value') };
  const result = g.scope(`layers.${layer}`, () => build(past));
  output('new', result.fresh, ['batch', 'seq', kvHeads * headDim]);
  output('present', result.present, ['batch', kvHeads, 'present_rows', headDim]);
  return result;
}

/** Where logits are wanted: those of a large vocabulary at every position would cost more than a layer. */
export function logitPositions(g: GraphBuilder): Value {
  return g.input('logit_positions', 'int64', ['logit_rows', 2]);
}

/** What comes after the last layer: logits at the positions that are wanted, and hidden states at all. */
export function head(g: GraphBuilder, model: CausalLm, hidden: Value, wanted: Value, weights: Module): void {
  const { hiddenSize, vocabSize } = model.section;
  const normed = model.finalNorm(hidden, weights);
  g.output('logits', model.logits(gatherNd(normed, wanted), weights), 'float32', ['logit_rows', vocabSize]);
  g.output('hidden', normed, 'float32', ['batch', 'seq', hiddenSize]);
}
