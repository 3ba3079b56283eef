import { expect, test } from 'vitest';
import { countsBetween, countsFromMetrics, sumCounts } from './metric-counts.js';

const model = { layers: [1, 3], perLayer: 3, expertBytes: 1 };

const text = `tessera_process_start_time_seconds 1767225600
# HELP tessera_expert_rows_total Rows.
# TYPE tessera_expert_rows_total counter
tessera_expert_rows_total{layer="1",expert="0"} 12
tessera_expert_rows_total{expert="2",layer="3"} 1.5e3
tessera_expert_rows_total_other{layer="9",expert="9"} 4
tessera_requests_running 3
`;

test('rows by layer and expert, whatever else is there, and in which order the labels are', () => {
  expect(countsFromMetrics(text, model)).toEqual({
    rows: [
      [12, 0, 0],
      [0, 0, 1500],
    ],
    startedAt: 1767225600,
  });
  expect(countsFromMetrics('', model)).toEqual({
    rows: [
      [0, 0, 0],
      [0, 0, 0],
    ],
    startedAt: undefined,
  });
});

test.each([
  ['tessera_expert_rows_total{layer="2",expert="0"} 1', /expert 0 of layer 2/],
  ['tessera_expert_rows_total{layer="1",expert="3"} 1', /expert 3 of layer 1/],
])('another model is refused: %s', (line, says) => {
  expect(() => countsFromMetrics(line, model)).toThrow(says);
});

test('between two looks', () => {
  const earlier = { rows: [[10, 5], [0]], startedAt: 7 };
  expect(countsBetween(earlier, { rows: [[14, 5], [2]], startedAt: 7 })).toEqual([[4, 0], [2]]);
});

test('an engine that began anew counts from its beginning, all experts alike', () => {
  const earlier = { rows: [[10, 5], [1]], startedAt: 7 };
  expect(countsBetween(earlier, { rows: [[14, 6], [2]], startedAt: 9 })).toEqual([[14, 6], [2]]);
  const untold = { rows: [[10, 5], [1]], startedAt: undefined };
  expect(countsBetween(untold, { rows: [[14, 3], [2]], startedAt: undefined })).toEqual([[14, 3], [2]]);
});

test('the counts of several engines are added', () => {
  expect(sumCounts([[[1, 2]], [[10, 20]], [[100, 200]]])).toEqual([[111, 222]]);
});
