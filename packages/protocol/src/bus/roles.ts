/** The services that have a user of their own on NATS. */
export const busRoles = ['gateway', 'encoder', 'connector', 'llm', 'generator'] as const;
export type BusRole = (typeof busRoles)[number];
