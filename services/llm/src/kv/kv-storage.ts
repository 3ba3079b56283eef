/**
 * Where keys and values lie: slots, each as many rows long as the longest sequence needs, row n for position n. Which
 * sequence has which slot is not its concern (see KvSlots).
 */
export interface KvStorage {
  /** The most slots that there can ever be. */
  readonly slots: number;
  /** The longest sequence that a slot can ever hold, in rows. */
  readonly maxRows: number;
  /**
   * Makes `slots` slots of `rows` rows each, keeping what is there; may give memory back when far less is needed.
   * @throws RangeError when there is no memory for it: what was held is held still, and whole
   */
  fit(slots: number, rows: number): void;
  /** Whether a slot is there, and that long. */
  holds(slot: number, rows: number): boolean;
  /** Copies the first `rows` rows of slot `from` over slot `to`. */
  move(from: number, to: number, rows: number): void;
  /** Exchanges the first `rows` rows of two slots. */
  swap(a: number, b: number, rows: number): void;
  /** Bytes held now. */
  readonly bytes: number;
  /** Bytes that are held once `fit` has made so much. */
  bytesFor(slots: number, rows: number): number;
}
