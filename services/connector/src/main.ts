#!/usr/bin/env node
import { runService } from '@tessera/service';
import { connector } from './start.js';

await runService(connector);
