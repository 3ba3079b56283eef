/**
 * Settings that the charts give to the process themselves, by environment, which wins over the file; with where the operator
 * says it instead. A template refuses them in `config` with that sentence.
 */
export const commonSettings = {
  'model.dir': 'set model.source',
  'grpc.host': 'set listenHost',
  'grpc.port': 'it is 7000, and the Service of the same port',
  'grpc.certFile': 'set tls.existingSecret',
  'grpc.keyFile': 'set tls.existingSecret',
  'grpc.clientCaFile': 'set tls.mutual',
  'metrics.host': 'set listenHost',
  'metrics.port': 'it is 9090',
  'nats.url': 'set nats.url beside config, not in it',
  'nats.user': 'set nats.user beside config, not in it',
  'nats.passwordFile': 'set nats.existingSecret and nats.secretKeys.password',
  'nats.tokenFile': 'set nats.existingSecret and nats.secretKeys.token',
  'nats.nkeyFile': 'set nats.existingSecret and nats.secretKeys.nkey',
  'nats.credentialsFile': 'set nats.existingSecret and nats.secretKeys.credentials',
  'nats.tls': 'set nats.tls.require beside config, not in it',
  'nats.caFile': 'set nats.tls.existingSecret',
  'nats.certFile': 'set nats.tls.existingSecret and nats.tls.mutual',
  'nats.keyFile': 'set nats.tls.existingSecret and nats.tls.mutual',
  'nats.serverName': 'set nats.tls.serverName',
};

export const ownedSettings = {
  encoder: commonSettings,
  connector: commonSettings,
  generator: commonSettings,
  gateway: {
    ...commonSettings,
    'engines.caFile': 'set engines.tls.existingSecret',
    'engines.certFile': 'set engines.tls.existingSecret and engines.tls.mutual',
    'engines.keyFile': 'set engines.tls.existingSecret and engines.tls.mutual',
    'engines.serverName': 'set engines.tls.serverName',
  },
  llm: {
    ...commonSettings,
    role: 'the chart has engines, experts.groups and layers.pieces',
    'engine.advertise': 'set advertise',
    'experts.placementFile': 'set experts.placement',
    'experts.group': 'set experts.groups',
    'experts.caFile': 'set tls.existingSecret',
    'experts.certFile': 'set tls.existingSecret and tls.mutual',
    'experts.keyFile': 'set tls.existingSecret and tls.mutual',
    'experts.serverName': 'set experts.tls.serverName',
    'layers.remote': 'set layers.pieces',
    'layers.piece': 'set layers.pieces',
    'layers.caFile': 'set tls.existingSecret',
    'layers.certFile': 'set tls.existingSecret and tls.mutual',
    'layers.keyFile': 'set tls.existingSecret and tls.mutual',
    'layers.serverName': 'set layers.tls.serverName',
  },
};
