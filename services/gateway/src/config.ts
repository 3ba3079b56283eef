import { natsSettings } from '@tessera/bus';
import { commonSettings, requestSettings, setting } from '@tessera/service';
import { z } from 'zod';

const positive = z.int().min(1);

/** Every setting of the gateway; docs/configuration.md is made from this. */
export const gatewaySettings = {
  ...commonSettings,
  ...natsSettings,
  ...requestSettings,
  'requests.maxInFlight': setting(positive, {
    default: 512,
    description:
      'Requests that may be in flight, each as often as it has choices; beyond it new ones are refused with RetryInfo.',
  }),
  'requests.maxMessages': setting(positive, { default: 256, description: 'Messages in one conversation.' }),
  'requests.maxTextCharacters': setting(positive, {
    default: 262_144,
    description: 'Characters of text in one conversation.',
  }),
  'requests.maxChoices': setting(positive.max(1024), {
    default: 8,
    description:
      'Answers that one request may ask for (`choices`). Each is a sequence of its own, so no more than engine.maxRunning, that all of them run at once; and no more than clients.maxRequests and requests.maxInFlight, as which each of them counts: the least of the three holds. More than all engines there are admit together (engine.maxRunning and engine.maxWaiting of each) is refused too.',
  }),
  'requests.maxAttempts': setting(positive, {
    default: 3,
    description: 'Engines that a request is sent to, one after the other, when one dies.',
  }),
  'admission.safety': setting(z.number().min(0), {
    default: 1.2,
    description:
      'What the time that a request is expected to take is multiplied by before it is held against its deadline. Higher refuses earlier and wastes less work; 0 refuses only what finds no room.',
  }),
  'clients.key': setting(z.string().min(1).optional(), {
    description:
      'Metadata key whose value names the client that a request is of, in lower case; set it only where a proxy in front writes it. By default, and for calls without it, the address of the caller.',
    example: 'x-tenant',
  }),
  'clients.maxPriority': setting(z.int().min(0).max(100), {
    default: 0,
    description:
      'The highest priority that a request may ask for; those with a lower one wait for it, and may lose their places to it. Raise it only where clients are trusted. Down to -100 everybody may ask.',
  }),
  'clients.maxRequests': setting(positive, {
    default: 256,
    description:
      'Requests that one client may have in flight, each as often as it has choices. Below requests.maxInFlight, so that no client takes every place.',
  }),
  'clients.maxHeldBytes': setting(positive, {
    default: 256 * 1024 * 1024,
    description:
      "Bytes of media that one client's requests may hold together. Below media.maxHeldBytes, and no less than media.maxBytes.",
  }),
  'clients.maxUploadedBytes': setting(positive, {
    default: 64 * 1024 * 1024,
    description:
      'Bytes of the uploads that are kept for one client; each gateway counts those that came to it. Below nats.uploadsBytes, so that no client fills it, and more than media.maxBytes.',
  }),
  'media.maxItems': setting(positive, { default: 8, description: 'Media items shown in one conversation.' }),
  'media.maxBytes': setting(positive, {
    default: 32 * 1024 * 1024,
    description: 'Bytes of one media item.',
  }),
  'media.maxPixels': setting(positive, {
    default: 64_000_000,
    description: 'Pixels of one picture; read from its header, before anything is decoded.',
  }),
  'media.maxHeldBytes': setting(positive, {
    default: 512 * 1024 * 1024,
    description: 'Bytes of media that all requests in flight may hold together.',
  }),
  'encode.tilesPerJob': setting(positive, {
    default: 4,
    description: 'Tiles of one media item in one encode job; fewer spread a large picture over more replicas.',
  }),
  'draw.maxSteps': setting(positive, { default: 200, description: 'Denoising steps that a request may ask for.' }),
  'draw.maxGuidance': setting(z.number().min(1), {
    default: 20,
    description: 'The strongest classifier-free guidance that a request may ask for; 1 is none.',
  }),
  'engines.caFile': setting(z.string().min(1).optional(), {
    description:
      'PEM file of the CA that signs the certificates of engines; without one engines are called without TLS.',
    example: '/etc/tessera/tls/ca.crt',
  }),
  'engines.certFile': setting(z.string().min(1).optional(), {
    description: 'PEM file of the certificate that is shown to engines that ask for one (mutual TLS).',
    example: '/etc/tessera/tls/tls.crt',
  }),
  'engines.keyFile': setting(z.string().min(1).optional(), {
    description: "PEM file of that certificate's key.",
    example: '/etc/tessera/tls/tls.key',
  }),
  'engines.serverName': setting(z.string().min(1).optional(), {
    description: 'Name in the certificates of engines, where it is not the host of their addresses.',
    example: 'tessera-llm',
  }),
  'engines.waitMs': setting(positive, {
    default: 3000,
    description:
      'How long a request waits for an engine while none is expected, in milliseconds. More than an engine takes from one announcement to the next (500 ms); a request that waits longer only learns later that the llm service is not there. Where engines are scaled from zero, or come up after the gateway, the longest deadline.',
  }),
  'engines.expectMs': setting(z.int().min(0), {
    default: 300_000,
    description:
      'An engine that was there this long ago is expected back, in milliseconds: requests then wait for one until their deadline. Longer than an engine takes to be started again and to load its model.',
  }),
};
