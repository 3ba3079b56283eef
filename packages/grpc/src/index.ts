export * from './create-grpc-client.js';
export * from './error-details.js';
export * from './error-status.js';
export * from './open-call.js';
export * from './tls-channel.js';
