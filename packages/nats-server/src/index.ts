export { findNatsServer, type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server.js';
export { natsUsers, passwordOf } from './nats-users.js';
