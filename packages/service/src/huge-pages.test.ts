import { expect, test } from 'vitest';
import { withHugePages } from './huge-pages.js';

test.each([
  ['nothing', undefined, 'glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1'],
  ['something else', 'glibc.malloc.check=1', 'glibc.malloc.check=1:glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1'],
  ['that it is not wanted', 'glibc.malloc.hugetlb=0', 'glibc.malloc.hugetlb=0:glibc.malloc.arena_max=1'],
  ['both', 'glibc.malloc.arena_max=4:glibc.malloc.hugetlb=0', 'glibc.malloc.arena_max=4:glibc.malloc.hugetlb=0'],
])('asks the allocator for huge pages where the caller said %s', (_, given, expected) => {
  const env = { PATH: '/bin', ...(given !== undefined && { GLIBC_TUNABLES: given }) };
  expect(withHugePages(env)).toEqual({ PATH: '/bin', GLIBC_TUNABLES: expected });
});
