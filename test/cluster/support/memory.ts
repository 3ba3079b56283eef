import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { KubernetesObject } from './kubernetes.js';

/** A container's limit under the two versions of control groups, and what is counted of it that the kernel cannot take back. */
const versions = [
  ['memory.limit_in_bytes', 'rss'],
  ['memory.max', 'anon'],
] as const;

/**
 * Lowers the limit of a container to the least that the kernel takes above what the container has in memory at this moment
 * and no file holds (it refuses a limit below what it cannot take back, its own tables too), so that it kills the container
 * for the next memory that it asks for, as one whose limit is too low. Its successor has the limit of the pod.
 */
export async function lowerLimit(pod: KubernetesObject): Promise<void> {
  const id = pod.status?.containerStatuses?.[0]?.containerID?.replace(/^.*:\/\//, '');
  if (id === undefined) throw new Error(`${pod.metadata.name} has no container that runs`);
  for (const [limit, kept] of versions) {
    const file = (await limitFiles(limit)).find((path) => dirname(path).endsWith(id));
    if (file === undefined) continue;
    const stat = await readFile(join(dirname(file), 'memory.stat'), 'utf8').catch(() => '');
    const held = Number(new RegExp(`^${kept} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
    for (let more = 0; held > 0 && more <= mostMore; more += 2 ** 20) {
      const taken = await writeFile(file, String(held + more)).then(
        () => true,
        // It takes more at this moment, or has ended: whoever waits for its end asks again.
        () => false,
      );
      if (taken) return;
    }
  }
}

/** What the kernel may hold for a container beside its pages. */
const mostMore = 64 * 2 ** 20;

async function limitFiles(name: string): Promise<string[]> {
  const files = await readdir('/sys/fs/cgroup', { recursive: true });
  return files.filter((path) => path.endsWith(name)).map((path) => join('/sys/fs/cgroup', path));
}
