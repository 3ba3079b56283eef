export { type LlmSettings, llmSettings } from './config.js';
export type { EngineConfig } from './engine/create-engine-core.js';
export * from './engine/engine.js';
export { LlmEngine } from './engine/llm-engine.js';
export { Llm } from './llm.js';
export type { Prompt, TokenSpan } from './prompt/prompt.js';
export { PromptBuilder } from './prompt/prompt-builder.js';
export { llm } from './start.js';
export { ThreadedEngine } from './thread/threaded-engine.js';
