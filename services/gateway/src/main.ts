import { healthCommand } from '@tessera/service/health';

await healthCommand('gateway');
// Loaded when the question is not for its health, which is asked often.
const [{ runService }, { gateway }] = await Promise.all([import('@tessera/service'), import('./start.js')]);
await runService(gateway);
