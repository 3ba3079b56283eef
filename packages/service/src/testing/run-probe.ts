import { healthCommand } from '../health/health-command.js';
import { runService } from '../service/run-service.js';
import { probeService } from './probe-service.js';

await healthCommand('llm');
await runService(probeService());
