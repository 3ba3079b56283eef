#!/usr/bin/env node
import { healthCommand } from '@tessera/service/health';

await healthCommand('encoder');
// Loaded when the question is not for its health, which is asked often.
const [{ runService }, { encoder }] = await Promise.all([import('@tessera/service'), import('./start.js')]);
await runService(encoder);
