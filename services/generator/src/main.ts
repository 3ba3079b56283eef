#!/usr/bin/env node
import '@tessera/service/early-end';

// Not among the imports, which are all loaded before the first of them runs.
const { healthCommand } = await import('@tessera/service/health');
await healthCommand('generator');
// Loaded when the question is not for its health, which is asked often.
const [{ runService }, { generator }] = await Promise.all([import('@tessera/service'), import('./start.js')]);
await runService(generator);
