export { type ConnectorSettings, connectorSettings } from './config.js';
export * from './engine.js';
export { connector } from './start.js';
