#!/usr/bin/env node
import { runService } from '@tessera/runtime';
import { generator } from './start.js';

await runService(generator);
