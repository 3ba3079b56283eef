import type { BoundSessionOptions } from '../bound/bound-session.js';

const cpu = { threads: 1, device: 'cpu' } as const;

/** The ways to compute that keep the contract of BoundSession, for `describe.each`. */
export const everyBackend: readonly (readonly [name: string, options: BoundSessionOptions])[] = [
  ['native, in the thread', { ...cpu, backend: 'native' }],
  ['native, in the pool', { ...cpu, backend: 'native', runs: 'in-pool' }],
  ['node', { ...cpu, backend: 'node' }],
];
