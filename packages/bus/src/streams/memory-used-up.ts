/** JetStream's codes where memory of the account (10002) or of the server (10023, 10028) is used up. */
export const memoryUsedUp: ReadonlySet<number> = new Set([10002, 10023, 10028]);
