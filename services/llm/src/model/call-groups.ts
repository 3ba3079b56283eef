import type { PlannedRow, RowResult } from './step-plan.js';

/**
 * Sorts a step's rows into as few calls as ONNX Runtime's attention allows: one token for each of several slots that lie
 * side by side, whatever their pasts; several beginnings of prompts, padded to the longest; or one chunk over a past.
 * @param beginsInPlace whether beginnings need slots side by side too
 */
export function callGroups(rows: readonly PlannedRow[], beginsInPlace: boolean): PlannedRow[][] {
  const beginnings = rows.filter(({ position }) => position === 0);
  const going = rows.filter(({ position }) => position > 0);
  const single = going.filter(({ tokenIds }) => tokenIds.length === 1);
  const chunks = going.filter(({ tokenIds }) => tokenIds.length > 1);
  return [
    ...neighbours(single, () => true),
    ...(beginsInPlace ? neighbours(beginnings, isSimilar) : similarLengths(beginnings)),
    ...chunks.map((row) => [row]),
  ];
}

/**
 * Computes a step's rows, call by call. A failed call befalls its own rows; those of the others go on.
 * @param compute one result for each row of a call, in their order
 * @returns one for each row of the step, in theirs
 */
export async function inCalls(
  rows: readonly PlannedRow[],
  beginsInPlace: boolean,
  compute: ComputeGroup,
): Promise<RowResult[]> {
  const results = new Map<PlannedRow, RowResult>();
  for (const group of callGroups(rows, beginsInPlace)) await computeGroup(group, compute, results);
  return rows.map((row) => results.get(row) as RowResult);
}

/** As `inCalls`, for calls that go through several hands: all are begun at once, in their order. */
export async function inCallsAtOnce(
  rows: readonly PlannedRow[],
  groups: readonly (readonly PlannedRow[])[],
  compute: ComputeGroup,
): Promise<RowResult[]> {
  const results = new Map<PlannedRow, RowResult>();
  await Promise.all(groups.map((group) => computeGroup(group, compute, results)));
  return rows.map((row) => results.get(row) as RowResult);
}

type ComputeGroup = (rows: readonly PlannedRow[]) => Promise<readonly RowResult[]>;

async function computeGroup(
  group: readonly PlannedRow[],
  compute: ComputeGroup,
  results: Map<PlannedRow, RowResult>,
): Promise<void> {
  const given = await compute(group).catch((error: unknown) => group.map(() => ({ error })));
  for (const [index, row] of group.entries()) results.set(row, given[index] as RowResult);
}

/** Padding to the longest of a group at most doubles no one's work. */
function isSimilar(group: readonly PlannedRow[], row: PlannedRow): boolean {
  const lengths = [...group, row].map(({ tokenIds }) => tokenIds.length);
  return Math.min(...lengths) * 2 >= Math.max(...lengths);
}

/** Runs of slots without a gap, whose rows fit together. */
function neighbours(
  rows: readonly PlannedRow[],
  fits: (group: readonly PlannedRow[], row: PlannedRow) => boolean,
): PlannedRow[][] {
  const groups: PlannedRow[][] = [];
  for (const row of [...rows].sort((a, b) => a.slot - b.slot)) {
    const group = groups.at(-1);
    const isNext = group !== undefined && row.slot === (group.at(-1) as PlannedRow).slot + 1;
    if (isNext && fits(group, row)) group.push(row);
    else groups.push([row]);
  }
  return groups;
}

function similarLengths(rows: readonly PlannedRow[]): PlannedRow[][] {
  const groups: PlannedRow[][] = [];
  for (const row of [...rows].sort((a, b) => b.tokenIds.length - a.tokenIds.length)) {
    const group = groups.at(-1);
    if (group !== undefined && isSimilar(group, row)) group.push(row);
    else groups.push([row]);
  }
  return groups;
}
