export * from './bus/declarations.js';
export * from './bus/headers.js';
export * from './bus/permissions.js';
export type {
  EventProduct,
  Product,
  ProductContent,
  ProductEvent,
  TensorProduct,
  TileTensor,
} from './bus/product.js';
export type { JobMessage, Queue } from './bus/queue.js';
export * from './bus/roles.js';
export type { SpreadDeclaration, StreamDeclaration } from './bus/stream-declaration.js';
export * from './bus/streams.js';
export * from './bus/subjects.js';
export * from './contract.js';
export * from './descriptors.js';
export * from './duration.js';
export * from './errors.js';
export { narrowToFloat16, widenFloat16 } from './float16.js';
export * from './media-tokens.js';
export * from './message-encoder.js';
export * from './messages.js';
export * from './outside-text.js';
export * from './span-words.js';
export * from './tensor.js';
export * from './tensor-message.js';
export { checkTensorBytes, joinRows } from './tensor-rows.js';
export { checkMinTokens, checkTextBounds, textBounds } from './text-bounds.js';
