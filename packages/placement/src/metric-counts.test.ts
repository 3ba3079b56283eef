import { expect, test } from 'vitest';
import { countsBetween, countsFromMetrics, sumCounts } from './metric-counts.js';

const model = { layers: [1, 3], perLayer: 3, expertBytes: 1 };

const text = `# HELP tessera_expert_rows_total Rows.
# TYPE tessera_expert_rows_total counter
tessera_expert_rows_total{layer="1",expert="0"} 12
tessera_expert_rows_total{expert="2",layer="3"} 1.5e3
tessera_expert_rows_total_other{layer="9",expert="9"} 4
tessera_requests_running 3
`;

test('rows by layer and expert, whatever else is there, and in which order the labels are', () => {
  expect(countsFromMetrics(text, model)).toEqual([
    [12, 0, 0],
    [0, 0, 1500],
  ]);
  expect(countsFromMetrics('', model)).toEqual([
    [0, 0, 0],
    [0, 0, 0],
  ]);
});

test.each([
  ['tessera_expert_rows_total{layer="2",expert="0"} 1', /expert 0 of layer 2/],
  ['tessera_expert_rows_total{layer="1",expert="3"} 1', /expert 3 of layer 1/],
])('another model is refused: %s', (line, says) => {
  expect(() => countsFromMetrics(line, model)).toThrow(says);
});

test('between two looks; an engine that began anew counts from its beginning', () => {
  expect(countsBetween([[10, 5]], [[14, 3]])).toEqual([[4, 3]]);
  expect(sumCounts([[[1, 2]], [[10, 20]], [[100, 200]]])).toEqual([[111, 222]]);
});
