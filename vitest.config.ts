import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'services/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    // Those of a cluster have a configuration of their own, and need root: npm run test:cluster.
    exclude: ['**/dist/**', '**/node_modules/**', 'test/cluster/**'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    // The suite starts real servers and models: two files at a time is what two cores carry.
    maxWorkers: 2,
    // Generous on purpose: a time limit here only ends what hangs; nothing asserts a duration.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
    expect: { poll: { timeout: 120_000, interval: 50 } },
  },
});
