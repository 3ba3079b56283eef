// Has promtool check and test the rules of deploy/monitoring. It comes with Debian's package prometheus.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const folder = resolve(import.meta.dirname, '../deploy/monitoring');
for (const [command, file] of [
  ['check', 'alerts.yaml'],
  ['test', 'alerts.test.yaml'],
]) {
  const { error, status } = spawnSync('promtool', [command, 'rules', join(folder, file)], { stdio: 'inherit' });
  if (error !== undefined) {
    console.error(
      `promtool cannot be run (${error.message}); install the package prometheus, as by: apt-get install prometheus`,
    );
    process.exit(2);
  }
  if (status !== 0) process.exit(status ?? 1);
}
