import { runService } from '@tessera/runtime';
import { gateway } from './start.js';

await runService(gateway);
