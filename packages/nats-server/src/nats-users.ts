import { type BusUser, busUsers, defaultStreamLimits, permissionsOf, type Subjects } from '@tessera/protocol';

export const passwordOf = (role: BusUser): string => `secret-of-${role}`;

/**
 * Lines of a nats-server's configuration: a user for each service, and one for `tessera streams`, who may do what it needs and
 * nothing else. Of several revisions during a rollout, each user may what it needs for any of them.
 */
export function natsUsers(...revisions: readonly Subjects[]): string {
  const users = busUsers.map((role) => {
    const permissions = revisions.map((subjects) => permissionsOf(role, subjects, defaultStreamLimits));
    const list = (what: 'publish' | 'subscribe') => JSON.stringify([...new Set(permissions.flatMap((of) => of[what]))]);
    return `{ user: ${role}, password: "${passwordOf(role)}", permissions: { publish: { allow: ${list('publish')} }, subscribe: { allow: ${list('subscribe')} } } }`;
  });
  return `authorization { users = [\n${users.join('\n')}\n] }`;
}
