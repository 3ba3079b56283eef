/** The services that have a user of their own on NATS. */
export const busRoles = ['gateway', 'encoder', 'connector', 'llm', 'generator'] as const;
export type BusRole = (typeof busRoles)[number];

/** Whoever has a user of its own on NATS: the services, and `tessera streams apply`, which goes before them. */
export const busUsers = [...busRoles, 'streams'] as const;
export type BusUser = (typeof busUsers)[number];
