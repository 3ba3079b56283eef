/** The generated code of proto/, the public contract and what travels on NATS, under one roof. */

export * from './generated/tessera/bus/v1/engines.js';
export * from './generated/tessera/bus/v1/jobs.js';
export * from './generated/tessera/bus/v1/products.js';
export * from './generated/tessera/bus/v1/timing.js';
export * from './generated/tessera/bus/v1/uploads.js';
export * from './generated/tessera/v1/answer.js';
// Each generated file with a stream exports this name; one explicit export settles which.
export type { ServerStreamingMethodResult } from './generated/tessera/v1/chat.js';
export * from './generated/tessera/v1/chat.js';
export * from './generated/tessera/v1/connector.js';
export * from './generated/tessera/v1/conversation.js';
export * from './generated/tessera/v1/encoder.js';
export * from './generated/tessera/v1/expert.js';
export * from './generated/tessera/v1/generator.js';
export * from './generated/tessera/v1/layer.js';
export * from './generated/tessera/v1/llm.js';
export * from './generated/tessera/v1/media.js';
export * from './generated/tessera/v1/model.js';
export * from './generated/tessera/v1/options.js';
export { DataType, Tensor as TensorMessage, TensorPart } from './generated/tessera/v1/tensor.js';
export * from './generated/tessera/v1/trace.js';
