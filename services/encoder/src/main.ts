#!/usr/bin/env node
import { runService } from '@tessera/runtime';
import { encoder } from './start.js';

await runService(encoder);
