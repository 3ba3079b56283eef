import type { SessionOptions } from '../session-options.js';
import type { DeviceMemory, PlacedTensor, TensorPort } from './placed-tensor.js';

/** What computes: ONNX Runtime's C API, or the package onnxruntime-node, which copies every output once more. */
export type InferenceBackend = 'native' | 'node';

export interface BoundSessionOptions extends SessionOptions {
  /** `auto`, the default, takes `native` where it can be had and else `node`; the others are taken or refused. */
  readonly backend?: 'auto' | InferenceBackend;
  /**
   * Where `native` computes. `in-thread`, the default, blocks the thread that calls, and belongs in an engine's thread.
   * `in-pool` takes one of libuv's threads and lets the calling one go on; each run then costs two hand-overs more. `node`
   * computes in the thread that calls.
   */
  readonly runs?: 'in-thread' | 'in-pool';
  /**
   * Whether the event loop turns once before each run, so that a thread which runs step after step still hears what it is
   * told; true by default. False for graphs of some microseconds whose caller sees to it. `node` takes no turns.
   */
  readonly yields?: boolean;
}

/**
 * Inputs and outputs of a graph, bound once to tensors that stay where they are. A run reads and writes these in place;
 * between runs the caller changes their contents, or binds others.
 *
 * An input and an output may be bound to the same tensor where the graph's operator allows it, as GroupQueryAttention
 * does for its past and its present. Outputs that are not bound are not given, and cost nothing where nothing else
 * needs them.
 *
 * What is bound is kept in memory until it is bound anew or the binding is released. It must not be written while the
 * graph runs, nor its outputs read.
 */
export interface Binding {
  /**
   * Binds inputs by name, in place of what was bound to these names. Each takes some 3 us; a tensor that is bound to its
   * name already, the same object, costs nothing.
   * @throws TesseraError TENSOR_INVALID on an unknown name, and on a type or a shape that the graph does not have; INTERNAL
   * while it runs; nothing is bound then
   */
  bindInputs(tensors: Readonly<Record<string, PlacedTensor>>): void;
  /** As `bindInputs`. The shape must be exactly that which the graph will give. */
  bindOutputs(tensors: Readonly<Record<string, PlacedTensor>>): void;
  /**
   * Computes the outputs that are bound. The event loop turns once before it, unless the session does not yield. Runs of one
   * session take turns, in the order of the calls.
   * @throws TesseraError TENSOR_INVALID when an input is not bound, or an array was transferred away; INTERNAL with ONNX
   * Runtime's own words when the graph fails, and while this binding runs already; DRAINING once it is released
   */
  run(): Promise<void>;
  /** Lets go of what is bound, once the run under way has ended. */
  release(): Promise<void>;
}

/**
 * A loaded graph over memory that stays in place: no input and no output is copied (the fallback `node` copies outputs).
 * It belongs to the thread that made it, which serves nothing else: see `runs`.
 */
export interface BoundSession {
  readonly backend: InferenceBackend;
  /** Why it is `node` although `native` would have been taken; undefined where it was asked for. For the log. */
  readonly fallbackReason: string | undefined;
  readonly inputs: readonly TensorPort[];
  readonly outputs: readonly TensorPort[];
  createBinding(): Binding;
  /**
   * Allocates memory where the session computes: on the CPU beside the JavaScript heap, else on its device. What is in it
   * is not defined.
   * @throws TesseraError INTERNAL when there is not so much
   */
  allocate(bytes: number): DeviceMemory;
  /** Ends the runs that were begun, then frees the session, its bindings and the memory that it allocated. */
  close(): Promise<void>;
}
