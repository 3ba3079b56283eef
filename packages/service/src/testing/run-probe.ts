import { runService } from '../service/run-service.js';
import { probeService } from './probe-service.js';

await runService(probeService());
