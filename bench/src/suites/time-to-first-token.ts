import type { Cell, Section } from '../report.js';
import { median } from '../statistics.js';
import type { TimedAnswer } from '../subjects/timed-answer.js';

/** Median moment of a mark, ms since the question was asked. */
function moment(answers: readonly TimedAnswer[], mark: string): number {
  return median(answers.map(({ marks }) => marks.get(mark) ?? Number.NaN));
}

function firstText(answers: readonly TimedAnswer[]): number {
  return median(answers.map(({ firstMs }) => firstMs));
}

/** Where the time to the first token goes, for a request with one picture, side by side. */
export function stepsSection(local: readonly TimedAnswer[], distributed: readonly TimedAnswer[]): Section {
  const here = (mark: string): number => moment(local, mark);
  const there = (mark: string): number => moment(distributed, mark);
  const work = (...marks: string[]): number => marks.reduce((sum, mark) => sum + there(mark), 0);
  const pictureWork = work('encoder encode', 'connector connect');
  const queued = work('encoder queue', 'connector queue');
  const rows: Cell[][] = [
    ['client to gateway, picture received and planned', here('planned'), there('QUEUED')],
    ['decode, prepare, encode', here('encoded') - here('planned'), work('encoder encode')],
    ['connect', here('connected') - here('encoded'), work('connector connect')],
    ['waiting in queues and for batches', 0, queued],
    [
      'on the way: NATS, gRPC, other processes on the cores',
      0,
      there('tile done') - there('QUEUED') - pictureWork - queued,
    ],
    [
      'prefill from the last tile, to the client',
      firstText(local) - here('connected'),
      firstText(distributed) - there('tile done'),
    ],
    ['time to first token', firstText(local), firstText(distributed)],
  ];
  return {
    title: 'Where the time to the first token goes',
    notes: [
      'The first request of the table above, medians in ms; medians of parts need not add up to the median of the whole.',
      'The part "on the way" is what remains of the time from the plan to the tile\'s arrival at the client.',
    ],
    columns: [{ title: 'step' }, { title: 'one process', digits: 2 }, { title: 'distributed', digits: 2 }],
    rows,
  };
}
