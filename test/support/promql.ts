import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';

/** What a label must be for a selector to match. */
interface LabelMatcher {
  readonly label: string;
  readonly op: string;
  readonly value: string;
}

/** Which series a query reads. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly LabelMatcher[];
  /** The function that its samples go to, over a range; undefined where it is read as of now. */
  readonly over: string | undefined;
}

/** A metric as the registry has it. */
interface KnownMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** Labels that the scraper gives every series. */
const targetLabels = ['job', 'namespace', 'pod', 'instance'];
const countedOver = new Set(['rate', 'increase', 'irate']);
/** Grafana's variables, as anything that may stand there. */
const variables = [['$__rate_interval', '5m']] as const;

interface Parsed {
  readonly text: string;
  readonly root: SyntaxNode;
}

function parse(query: string): Parsed {
  const text = variables.reduce((all, [variable, value]) => all.replaceAll(variable, value), query);
  return { text, root: parser.parse(text).topNode };
}

function* nodes(root: SyntaxNode): Generator<SyntaxNode> {
  yield root;
  for (let child = root.firstChild; child !== null; child = child.nextSibling) yield* nodes(child);
}

function named(root: SyntaxNode, name: string): SyntaxNode[] {
  return [...nodes(root)].filter((node) => node.name === name);
}

function selectorOf(text: string, node: SyntaxNode): Selector {
  const read = (child: SyntaxNode | null): string => (child === null ? '' : text.slice(child.from, child.to));
  const matchers = named(node, 'UnquotedLabelMatcher').map((matcher) => ({
    label: read(matcher.getChild('LabelName')),
    op: read(matcher.getChild('MatchOp')),
    value: JSON.parse(read(matcher.getChild('StringLiteral'))) as string,
  }));
  const matrix = node.parent?.name === 'MatrixSelector' ? node.parent : undefined;
  const call = matrix?.parent?.name === 'FunctionCallBody' ? matrix.parent.parent : undefined;
  const over = matrix === undefined ? undefined : read(call?.getChild('FunctionIdentifier') ?? null);
  return { metric: read(node.getChild('Identifier')), matchers, over };
}

/** The selectors of a query. */
export function selectors(query: string): Selector[] {
  const { text, root } = parse(query);
  return named(root, 'VectorSelector').map((node) => selectorOf(text, node));
}

/**
 * What is wrong with a query, by the metrics that there are: that it is none, a name or label that no metric has, a counter
 * that is read as if it stood still, a gauge that is read as if it only grew.
 */
export function faultsOf(query: string, metrics: readonly KnownMetric[]): string[] {
  const { text, root } = parse(query);
  const wrong = named(root, '⚠').map(
    ({ from }) => `is no query from ${JSON.stringify(text.slice(from, from + 20))} on`,
  );
  if (wrong.length > 0) return wrong;
  const known = (name: string) => {
    const plain = metrics.find((metric) => metric.name === name);
    const [, base] = /^(.+)_(?:bucket|sum|count)$/.exec(name) ?? [];
    const histogram = metrics.find((metric) => metric.name === base && metric.type === 'histogram');
    return plain === undefined ? histogram : plain;
  };
  const labelsIn = (node: SyntaxNode): Set<string> =>
    new Set([
      ...targetLabels,
      ...named(node, 'VectorSelector').flatMap((each) => {
        const metric = known(selectorOf(text, each).metric);
        return [...(metric?.labels ?? []), ...(metric?.type === 'histogram' ? ['le'] : [])];
      }),
    ]);
  const faults: string[] = [];
  for (const node of named(root, 'VectorSelector')) {
    const { metric: name, matchers, over } = selectorOf(text, node);
    const metric = known(name);
    if (metric === undefined) {
      faults.push(`reads ${name}, which no service has`);
      continue;
    }
    if (metric.type === 'histogram' && metric.name === name) faults.push(`reads the histogram ${name} as one number`);
    const grows = metric.type !== 'gauge';
    if (grows && !countedOver.has(over ?? '')) faults.push(`reads ${name}, which only grows, without a rate`);
    if (!grows && countedOver.has(over ?? '')) faults.push(`takes a ${over} of ${name}, which is a gauge`);
    const labels = labelsIn(node);
    for (const { label } of matchers) if (!labels.has(label)) faults.push(`asks ${name} for the label ${label}`);
  }
  for (const grouping of named(root, 'GroupingLabels')) {
    const [by, within] = [grouping.parent, grouping.parent?.parent];
    if (by === null || within === null || within === undefined) continue;
    const labels = labelsIn(within);
    for (const label of named(grouping, 'LabelName')) {
      const name = text.slice(label.from, label.to);
      if (!labels.has(name)) faults.push(`groups by ${name}, which nothing there has`);
    }
  }
  return faults;
}
