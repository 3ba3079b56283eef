/** Huge pages for all that is allocated, and one heap for all threads: those that a thread has for itself never get them. */
const tunables = { 'glibc.malloc.hugetlb': '1', 'glibc.malloc.arena_max': '1' };

/**
 * The environment for a process that computes a model. Its weights and caches then lie on huge pages where the kernel gives
 * them to those who ask (`madvise` in /sys/kernel/mm/transparent_hugepage/enabled, what most distributions have): all weights
 * are read at each token, and with pages of 4 KiB looking up where they lie takes up to a quarter of that time. GNU's allocator
 * reads this only when a process begins; other C libraries pass over it. What the caller has set stays.
 */
export function withHugePages(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const given = (env.GLIBC_TUNABLES ?? '').split(':').filter((each) => each !== '');
  const missing = Object.entries(tunables).filter(([name]) => !given.some((each) => each.startsWith(`${name}=`)));
  if (missing.length === 0) return env;
  return { ...env, GLIBC_TUNABLES: [...given, ...missing.map((each) => each.join('='))].join(':') };
}
