#!/usr/bin/env node
import { runService } from '@tessera/service';
import { encoder } from './start.js';

await runService(encoder);
