import { type BusRole, busRoles, defaultStreamLimits, permissionsOf, type Subjects } from '@tessera/protocol';

export const passwordOf = (role: BusRole): string => `secret-of-${role}`;

/** Lines of a nats-server's configuration: a user for each service, who may do what it needs and nothing else. */
export function natsUsers(subjects: Subjects): string {
  const users = busRoles.map((role) => {
    const { publish, subscribe } = permissionsOf(role, subjects, defaultStreamLimits);
    const list = (patterns: readonly string[]) => JSON.stringify(patterns);
    return `{ user: ${role}, password: "${passwordOf(role)}", permissions: { publish: { allow: ${list(publish)} }, subscribe: { allow: ${list(subscribe)} } } }`;
  });
  return `authorization { users = [\n${users.join('\n')}\n] }`;
}
