export { type ConnectorSettings, connectorSettings } from './config.js';
export { connectorPorts } from './graph.js';
export { connector } from './start.js';
