/** Polls until the check holds. The limit only ends what hangs; a check that throws says why in the end. */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = Date.now() + 120_000;
  let trouble: unknown;
  for (;;) {
    try {
      if (await check()) return;
      trouble = undefined;
    } catch (reason) {
      trouble = reason;
    }
    if (Date.now() > giveUpAt) throw new Error(`never happened: ${what}`, { cause: trouble });
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
