import { type BusUser, busUsers, defaultStreamLimits, permissionsOf, type Subjects } from '@tessera/protocol';

export const passwordOf = (role: BusUser): string => `secret-of-${role}`;

/** Lines of a nats-server's configuration: a user for each service, and one for `tessera streams`, who may do what it needs and nothing else. */
export function natsUsers(subjects: Subjects): string {
  const users = busUsers.map((role) => {
    const { publish, subscribe } = permissionsOf(role, subjects, defaultStreamLimits);
    const list = (patterns: readonly string[]) => JSON.stringify(patterns);
    return `{ user: ${role}, password: "${passwordOf(role)}", permissions: { publish: { allow: ${list(publish)} }, subscribe: { allow: ${list(subscribe)} } } }`;
  });
  return `authorization { users = [\n${users.join('\n')}\n] }`;
}
