#!/usr/bin/env node
import { runService } from '@tessera/service';
import { generator } from './start.js';

await runService(generator);
