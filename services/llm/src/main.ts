#!/usr/bin/env node
import { healthCommand } from '@tessera/service/health';

await healthCommand('llm');
// Loaded when the question is not for its health, which is asked often.
const [{ runService }, { llm }] = await Promise.all([import('@tessera/service'), import('./start.js')]);
await runService(llm);
