import { closed, count, flag, list, map, text } from './schema-words.mjs';
import { dnsPorts, sharedProperties } from './shared-schema.mjs';

const { image, model, nats, tls } = sharedProperties;

import { stageCharts } from './stage-charts.mjs';

const monitoring = closed("NATS's monitoring, where KEDA reads the lag.", {
  endpoint: text('HOST:PORT; a template.'),
  account: text('The account of the streams.'),
  https: flag('Whether it is asked by https.'),
  existingSecret: text('Secret that holds endpoint and account.'),
  endpointKey: text('Key of the endpoint; endpoint by default.'),
  accountKey: text('Key of the account; account by default.'),
});

/**
 * Values of the umbrella. A stage's own are checked by the stage's chart.
 * @param config schema of the settings that every service has
 */
export function umbrellaSchema(config) {
  const stages = Object.fromEntries(
    Object.keys(stageCharts).map((stage) => [stage, map(`Values of the chart of the ${stage}, and enabled.`)]),
  );
  return closed('Values of the chart of all of Tessera.', {
    global: closed('What all stages share.', {
      image: closed('Of all images.', {
        registry: image.properties.registry,
        tag: image.properties.tag,
        pullPolicy: image.properties.pullPolicy,
        pullSecrets: list('Secrets that images are pulled with.'),
      }),
      model,
      nats: closed('Where NATS is, and who the services are there.', {
        ...nats.properties,
        monitoring,
        maxMemory: text('What JetStream may hold in memory, such as 2Gi.', {
          pattern: '^([0-9]+(\\.[0-9]+)?([KMGT]i?)?)?$',
        }),
      }),
      tls,
      config,
    }),
    ...stages,
    streams: closed('The Job that makes the streams.', {
      enabled: { type: ['boolean', 'null'], description: 'Whether there is one.' },
      nats,
      revisions: count('Revisions that are served at a time.', 1),
      checkSecrets: sharedProperties.checkSecrets,
      networkPolicy: closed("The Job's.", {
        enabled: flag('Whether there is one.'),
        nats: list('Peers that are NATS.'),
        dns: list('Peers that are DNS.'),
        dnsPorts,
        extraEgress: list('More rules.'),
      }),
      image,
      backoffLimit: count('Times that it is tried again.'),
      resources: map('Of the container.'),
      nodeSelector: map('Labels of the nodes.'),
      tolerations: list('Taints of nodes that do not matter.'),
    }),
    nats: {
      ...map('Values of the official chart of NATS.'),
      properties: { enabled: flag('Whether the release has a NATS of its own.') },
    },
    'tessera-library': map('Nothing: the library has no values.'),
  });
}
