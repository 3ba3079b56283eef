import { runService } from '@tessera/service';
import { gateway } from './start.js';

await runService(gateway);
