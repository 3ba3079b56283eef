import { llmProperties } from './llm-schema.mjs';
import { closed, count, flag, map, orNull, text } from './schema-words.mjs';
import { autoscaling, gpu, queueScaling, rollout, sharedProperties, tls } from './shared-schema.mjs';

const queueStage = {
  properties: { ...sharedProperties, ...rollout, gpu, autoscaling: queueScaling },
  variables: { anyClient: false },
};

const gatewayScaling = autoscaling({
  keda: {
    streams: orNull(count('Open streams a replica.', 1)),
    cpuPercent: orNull(count('Percent of the requested CPU.', 1)),
    prometheus: closed('Where the streams are counted.', {
      serverAddress: text('http://HOST:PORT.'),
      query: text('Its sum over all replicas.'),
      authenticationRef: map('A TriggerAuthentication.'),
      authModes: text('bearer, basic, tls or custom.'),
    }),
  },
  hpa: { streams: orNull(count('Open streams a replica.', 1)) },
});

/**
 * The charts whose values are made here: `properties` of their schema beside `config` and `resources`, and `variables` of
 * the blocks in their values.yaml.
 */
export const stageCharts = {
  encoder: queueStage,
  connector: queueStage,
  generator: queueStage,
  gateway: {
    properties: {
      ...sharedProperties,
      ...rollout,
      autoscaling: gatewayScaling,
      engines: closed('How engines are called.', {
        tls: closed('TLS to the engines.', {
          ...tls.properties,
          mutual: flag("Show them the Secret's certificate."),
          serverName: text('Name in their certificates.'),
        }),
      }),
      headlessService: closed('A Service that answers with the address of each gateway.', {
        enabled: flag('Whether there is one.'),
      }),
    },
    variables: { anyClient: true },
  },
  llm: { properties: llmProperties, variables: { anyClient: false } },
};
