const patienceMs = 120_000;
const pollMs = 10;

/**
 * Polls until the check holds. A check that throws does not hold yet.
 * @param patienceMs only ends what hangs
 * @throws Error that says what never happened; its cause is what the last check threw
 */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  what: string,
  limits: { readonly patienceMs?: number } = {},
): Promise<void> {
  const giveUpAt = Date.now() + (limits.patienceMs ?? patienceMs);
  let trouble: unknown;
  for (;;) {
    try {
      if (await check()) return;
      trouble = undefined;
    } catch (reason) {
      trouble = reason;
    }
    if (Date.now() > giveUpAt) throw new Error(`never happened: ${what}`, { cause: trouble });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
