import { commonSettings, setting } from '@tessera/runtime';
import { z } from 'zod';

const positive = z.int().min(1);

/** Every setting of the gateway; docs/configuration.md is made from this. */
export const gatewaySettings = {
  ...commonSettings,
  'requests.maxInFlight': setting(positive, {
    default: 512,
    description: 'Requests that may be in flight; beyond it new ones are refused with RetryInfo.',
  }),
  'requests.maxMessages': setting(positive, { default: 256, description: 'Messages in one conversation.' }),
  'requests.maxTextCharacters': setting(positive, {
    default: 262_144,
    description: 'Characters of text in one conversation.',
  }),
  'requests.maxAttempts': setting(positive, {
    default: 3,
    description: 'Engines that a request is sent to, one after the other, when one dies.',
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
      'How long a request waits for an engine while none is expected, in milliseconds. More than an engine takes from one announcement to the next (500 ms); a request that waits longer only learns later that the llm service is not there.',
  }),
  'engines.expectMs': setting(z.int().min(0), {
    default: 300_000,
    description:
      'An engine that was there this long ago is expected back, in milliseconds: requests then wait for one until their deadline. Longer than an engine takes to be started again and to load its model.',
  }),
};
