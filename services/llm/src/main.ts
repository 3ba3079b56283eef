#!/usr/bin/env node
import { runService } from '@tessera/service';
import { llm } from './start.js';

await runService(llm);
