/**
 * Where keys and values lie: a fixed number of slots, each as many rows long as the longest sequence needs, row n for
 * position n. Which sequence has which slot is not its concern (see KvSlots).
 */
export interface KvStorage {
  readonly slots: number;
  /** The longest sequence that a slot can ever hold, in rows. */
  readonly maxRows: number;
  /** Makes every slot long enough for `rows`, keeping what is there; may give memory back when far fewer are needed. */
  fit(rows: number): void;
  /** Copies the first `rows` rows of slot `from` over slot `to`. */
  move(from: number, to: number, rows: number): void;
  /** Exchanges the first `rows` rows of two slots. */
  swap(a: number, b: number, rows: number): void;
  /** Bytes held now. */
  readonly bytes: number;
}
