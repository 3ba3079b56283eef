import { ConnectJob, DrawingEvent, EncodeJob, GenerateJob } from '../messages.js';
import { eventProduct, type Product, type ProductContent, tensorProduct } from './product.js';
import { type JobMessage, jobQueue, type Queue } from './queue.js';
import type { SpreadDeclaration } from './stream-declaration.js';

/**
 * All that is queued and sent on NATS is declared here. Subjects, streams, settings of their sizes, permissions, and what
 * the bus publishes, receives and tidies follow from it: another stage adds its queue, another modality its product.
 */

const mib = 1024 * 1024;

/** A tile's visual tokens, [tokens, LLM width], for the engine that waits for them. */
export const visualTokens = tensorProduct({
  name: 'visual_tokens',
  place: 'tokens',
  contents: 'visual tokens on their way to engines',
  maxBytes: 192 * mib,
  consumer: 'llm',
});

/** What generators say of drawings, for the gateway that waits for them. */
export const drawingEvents = eventProduct({
  name: 'drawings',
  place: 'drawings',
  contents: 'drawings on their way to gateways',
  maxBytes: 64 * mib,
  consumer: 'gateway',
  message: DrawingEvent,
});

/** One media item and a range of its tiles. */
export const encodeQueue = jobQueue({
  name: 'encode',
  place: 'encode',
  contents: 'the queue of encode jobs: media up to a part rides in them',
  maxBytes: 128 * mib,
  message: EncodeJob,
  tile: ({ firstTile }) => firstTile,
  spansTiles: true,
  producers: ['gateway'],
  worker: 'encoder',
  product: visualTokens,
  usesParts: true,
});

/** The features of one tile. */
export const connectQueue = jobQueue({
  name: 'connect',
  place: 'connect',
  contents: 'the queue of connect jobs: features up to a part ride in them',
  maxBytes: 128 * mib,
  message: ConnectJob,
  tile: ({ tile }) => tile,
  spansTiles: false,
  producers: ['encoder'],
  worker: 'connector',
  product: visualTokens,
  usesParts: true,
  tensor: ({ features }) => features,
});

/** One drawing. */
export const generateQueue = jobQueue({
  name: 'generate',
  place: 'generate',
  contents: 'the queue of generate jobs',
  maxBytes: 32 * mib,
  message: GenerateJob,
  tile: () => 0,
  spansTiles: false,
  producers: ['llm'],
  worker: 'generator',
  product: drawingEvents,
  usesParts: false,
});

/** Media and tensors too large for a job, kept until whoever does the job has taken them. */
export const parts: SpreadDeclaration<'parts'> = {
  name: 'parts',
  place: 'parts',
  contents: 'media and features larger than a part, until they are taken',
  maxBytes: 256 * mib,
  retention: 'limits',
  keptFor: 'request',
};

/** Media that callers uploaded, for requests that name them by their digest. */
export const uploads: SpreadDeclaration<'uploads'> = {
  name: 'uploads',
  place: 'uploads',
  contents: 'media that were uploaded for later requests',
  maxBytes: 128 * mib,
  retention: 'limits',
  keptFor: 'upload',
};

export const queues = [encodeQueue, connectQueue, generateQueue] as const;
export const products = [visualTokens, drawingEvents] as const;
export const spreadStreams = [...products, parts, uploads] as const;

/** The name of each queue. */
export type JobKind = (typeof queues)[number]['name'];
/** The name of each product. */
export type ProductKind = (typeof products)[number]['name'];
/** The name of each kind of stream that carries jobs, products or parts. */
export type StreamKind = JobKind | ProductKind | 'parts' | 'uploads';

export type DeclaredQueue<Job extends JobMessage = JobMessage> = Queue<Job, JobKind, ProductKind>;
export type DeclaredProduct<Content extends ProductContent = ProductContent> = Product<Content, ProductKind>;
