// The alert rules in the forms that Prometheus and its operator read, and what promtool tests them with.
import { stringify } from 'yaml';
import { alerts, withLabels } from './alerts.mjs';

const made = '# Made by scripts/generate-docs.mjs from scripts/monitoring; do not edit.\n';
const options = { lineWidth: 0 };

function annotationsOf({ name, summary }, labels) {
  return { summary: withLabels(summary, labels), runbook: `docs/monitoring.md#${name.toLowerCase()}` };
}

function ruleOf(alert) {
  const { name, expr, for: pending, severity, summary } = alert;
  return {
    alert: name,
    expr,
    ...(pending === '0m' ? {} : { for: pending }),
    labels: { severity },
    annotations: { summary, runbook: `docs/monitoring.md#${name.toLowerCase()}` },
  };
}

const groups = [{ name: 'tessera', rules: alerts.map(ruleOf) }];

/** For `rule_files` of Prometheus. */
export const rulesYaml = () => `${made}${stringify({ groups }, options)}`;

/** For the Prometheus operator. */
export function prometheusRuleYaml() {
  const rule = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'tessera', labels: { 'app.kubernetes.io/part-of': 'tessera' } },
    spec: { groups },
  };
  return `${made}${stringify(rule, options)}`;
}

/** For `promtool test rules`. */
export function rulesTestYaml() {
  const tests = alerts.flatMap((alert) =>
    alert.tests.map(({ series, at, labels }) => ({
      name: `${alert.name} ${labels === undefined ? 'is silent' : 'fires'}`,
      interval: '30s',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      alert_rule_test: [
        {
          eval_time: at,
          alertname: alert.name,
          exp_alerts:
            labels === undefined
              ? []
              : [
                  {
                    exp_labels: { severity: alert.severity, ...labels },
                    exp_annotations: annotationsOf(alert, labels),
                  },
                ],
        },
      ],
    })),
  );
  return `${made}${stringify({ rule_files: ['alerts.yaml'], evaluation_interval: '30s', tests }, options)}`;
}
