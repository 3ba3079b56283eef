import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { expect, test } from 'vitest';
import { calls } from './support/architecture.js';

test('the services open gRPC channels to each other where the architecture has a call, and nowhere else', () => {
  const services = join(root, 'services');
  const opening = readdirSync(services, { recursive: true, encoding: 'utf8' })
    .filter((file) => /^[a-z]+\/src\/.*\.ts$/.test(file) && !/(\.test\.ts|\/testing\/.*)$/.test(file))
    .filter((file) =>
      /\b(createClient|createGrpcClient|createChannel)\(/.test(readFileSync(join(services, file), 'utf8')),
    )
    .map((file) => `services/${file}`);
  expect(opening.toSorted()).toEqual(calls.map(({ opens }) => opens).toSorted());
});
