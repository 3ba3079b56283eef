import type { PlannedRow } from './step-plan.js';

/** Rows that go through the graph in one call. */
export interface CallGroup {
  readonly rows: readonly PlannedRow[];
  /** Where the past of the rows lies: as many slots as rows, from this one on; undefined where no row has a past. */
  readonly firstSlot: number | undefined;
}

/**
 * Sorts a step's rows into as few calls as ONNX Runtime's attention allows: one token for each of several slots that lie
 * side by side, whatever their pasts; several beginnings of prompts, padded to the longest; or one chunk over a past.
 */
export function callGroups(rows: readonly PlannedRow[]): CallGroup[] {
  const beginnings = rows.filter(({ position }) => position === 0);
  const going = rows.filter(({ position }) => position > 0);
  const single = going.filter(({ tokenIds }) => tokenIds.length === 1);
  const chunks = going.filter(({ tokenIds }) => tokenIds.length > 1);
  return [
    ...neighbours(single).map((group) => ({ rows: group, firstSlot: group[0]?.slot })),
    ...similarLengths(beginnings).map((group) => ({ rows: group, firstSlot: undefined })),
    ...chunks.map((row) => ({ rows: [row], firstSlot: row.slot })),
  ];
}

/** Runs of slots without a gap. */
function neighbours(rows: readonly PlannedRow[]): PlannedRow[][] {
  const groups: PlannedRow[][] = [];
  for (const row of [...rows].sort((a, b) => a.slot - b.slot)) {
    const group = groups.at(-1);
    if (group !== undefined && row.slot === (group.at(-1) as PlannedRow).slot + 1) group.push(row);
    else groups.push([row]);
  }
  return groups;
}

/** Groups rows so that padding to the longest of a group at most doubles no one's work. */
function similarLengths(rows: readonly PlannedRow[]): PlannedRow[][] {
  const groups: PlannedRow[][] = [];
  for (const row of [...rows].sort((a, b) => b.tokenIds.length - a.tokenIds.length)) {
    const group = groups.at(-1);
    const longest = group?.[0]?.tokenIds.length ?? 0;
    if (group !== undefined && row.tokenIds.length * 2 >= longest) group.push(row);
    else groups.push([row]);
  }
  return groups;
}
