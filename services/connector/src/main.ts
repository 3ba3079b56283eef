#!/usr/bin/env node
import { runService } from '@tessera/runtime';
import { connector } from './start.js';

await runService(connector);
