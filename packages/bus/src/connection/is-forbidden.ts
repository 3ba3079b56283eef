import { PermissionViolationError } from '@nats-io/transport-node';

/** Whether a request failed because this user may not make it; the client says so as the error or as its cause. */
export function isForbidden(reason: unknown): boolean {
  for (let each = reason; each instanceof Error; each = each.cause) {
    if (each instanceof PermissionViolationError) return true;
  }
  return false;
}
