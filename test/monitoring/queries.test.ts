import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import '@tessera/connector';
import '@tessera/encoder';
import '@tessera/gateway';
import '@tessera/generator';
import '@tessera/llm';
import { declaredMetrics, Metrics } from '@tessera/service';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Dashboard, dashboardQueries, type Rules } from '../support/monitoring-files.js';
import { faultsOf } from '../support/promql.js';

const read = (name: string) => readFileSync(join(root, 'deploy/monitoring', name), 'utf8');
const rules = parse(read('alerts.yaml')) as Rules;
const alerts = rules.groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read('dashboard.json')) as Dashboard;

/** What the services declare, and what Node says of itself. */
const process = new Metrics();
process.collectProcess();
const own = await process.registry.getMetricsAsJSON();
const metrics = [
  ...declaredMetrics(),
  ...own.map(({ name, type }) => ({
    name,
    type: String(type),
    labels: ['kind', 'space', 'type', 'version'],
  })),
];

test.each(alerts.map(({ alert, expr }) => [alert, expr] as const))('%s asks for what there is', (_, expr) => {
  expect(faultsOf(expr, metrics)).toEqual([]);
});

test.each(dashboardQueries(dashboard))('the panel "%s" asks for what there is', (_, expr) => {
  expect(faultsOf(expr, metrics)).toEqual([]);
});

test.each([
  ['sum(tessera_ready', /is no query/],
  ['tessera_redy == 0', /tessera_redy, which no service has/],
  ['tessera_jobs_total > 3', /only grows/],
  ['rate(tessera_ready[5m])', /which is a gauge/],
  ['tessera_queue_depth{stage="encode"}', /the label stage/],
  ['sum by (stage) (tessera_queue_depth)', /groups by stage/],
  ['tessera_queue_seconds', /as one number/],
  ['sum by (le) (rate(tessera_jobs_total[5m]))', /groups by le/],
  ['tessera_ready * on (kind) tessera_build_info', /groups by kind/],
])('a query that asks for something else is found: %s', (query, says) => {
  expect(faultsOf(query, metrics).join('; ')).toMatch(says);
});

describe('the alerts', () => {
  const tests = parse(read('alerts.test.yaml')) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: object[] }[] }[];
  };

  test('each has a severity, a sentence, a runbook in the document, and a test that it fires and one that it does not', () => {
    const document = readFileSync(join(root, 'docs/monitoring.md'), 'utf8');
    for (const { alert, labels, annotations } of alerts) {
      expect(['warning', 'critical']).toContain(labels.severity);
      expect(annotations.summary, alert).toMatch(/\w+ /);
      expect(annotations.runbook).toBe(`docs/monitoring.md#${alert.toLowerCase()}`);
      expect(document).toContain(`\n### ${alert}\n`);
      const fires = tests.tests
        .flatMap((each) => each.alert_rule_test)
        .filter(({ alertname }) => alertname === alert)
        .map(({ exp_alerts }) => exp_alerts.length > 0);
      expect(fires.toSorted(), alert).toEqual([false, true]);
    }
  });

  test('the operator is given the same rules', () => {
    const operator = parse(read('prometheus-rule.yaml')) as { kind: string; spec: Rules };
    expect(operator.kind).toBe('PrometheusRule');
    expect(operator.spec).toEqual(rules);
  });

  test.skipIf(spawnSync('promtool', ['--version']).error !== undefined)(
    'Prometheus takes them, and they fire when their tests say so',
    async () => {
      const { status, stdout, stderr } = await runCommand(globalThis.process.execPath, [
        join(root, 'scripts/test-monitoring.mjs'),
      ]);
      expect(status, stdout + stderr).toBe(0);
    },
  );
});

describe('the dashboard', () => {
  test('no panel lies on another, and each has a title, a unit and a query', () => {
    const taken = new Set<string>();
    const ids = dashboard.panels.map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)]);
    for (const { type, title, gridPos, targets, fieldConfig } of dashboard.panels) {
      expect(title).not.toBe('');
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        expect(x).toBeLessThan(24);
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x},${y}`), `${title} at ${x},${y}`).toBe(false);
          taken.add(`${x},${y}`);
        }
      }
      if (type === 'row') continue;
      expect(fieldConfig?.defaults.unit).toBeTruthy();
      expect(targets?.length).toBeGreaterThan(0);
    }
  });

  test('every query is of the namespaces that are chosen', () => {
    for (const [title, expr] of dashboardQueries(dashboard)) {
      expect(expr, title).toContain('namespace=~"$namespace"');
    }
  });
});
