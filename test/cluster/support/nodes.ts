import { kubectl } from './kubernetes.js';

/**
 * Which nodes take pods: fake ones, whose pods are Ready at once and run nothing, or real ones. Charts know of no such
 * difference, so that the others are cordoned.
 */
export async function useNodes(kind: 'fake' | 'real'): Promise<void> {
  const [used, others] = kind === 'fake' ? ['kwok', 'real'] : ['real', 'kwok'];
  await kubectl(['cordon', '--selector', `type=${others}`]);
  await kubectl(['uncordon', '--selector', `type=${used}`]);
}
