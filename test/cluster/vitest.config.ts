import { defineConfig } from 'vitest/config';

/** Run by `npm run test:cluster` only, in the namespaces of a cluster that is up: docs/cluster-tests.md. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    // Each test as it ends: a file takes minutes.
    reporters: ['verbose'],
    pool: 'forks',
    // One cluster: what one file drains or kills would be missing in another.
    maxWorkers: 1,
    fileParallelism: false,
    // Generous on purpose: a time limit here only ends what hangs; nothing asserts a duration.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: 300_000, interval: 250 } },
  },
});
