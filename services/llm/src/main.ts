#!/usr/bin/env node
import { runService } from '@tessera/runtime';
import { llm } from './start.js';

await runService(llm);
