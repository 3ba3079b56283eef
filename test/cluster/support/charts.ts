import { join } from 'node:path';
import { root } from '@tessera/testing/repository';

export const stages = ['encoder', 'connector', 'llm', 'generator', 'gateway'] as const;

/** The folder of a chart, to be installed as it is: what it depends on is linked into it. */
export function chart(name: (typeof stages)[number] | 'tessera'): string {
  return join(root, 'deploy/charts', name);
}
