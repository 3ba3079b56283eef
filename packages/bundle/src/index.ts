export { extractPart } from './extract-part.js';
export * from './manifest.js';
export * from './model-info.js';
export * from './preprocessing.js';
export * from './read-bundle.js';
