export * from './manifest.js';
export * from './read-bundle.js';
