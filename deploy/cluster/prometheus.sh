#!/usr/bin/env bash
# Debian's Prometheus, beside the control plane, on port 9090 of it: it reads every pod's port `metrics`, with the labels that a
# PodMonitor gives. Debian builds it without Kubernetes, so that the pods are written into a file. up.sh runs this.
set -euo pipefail
. "$(dirname "$0")/env.sh"
cd "$RUN/control"
cat >prometheus.yml <<END
global: {scrape_interval: 2s}
scrape_configs: [{job_name: pods, file_sd_configs: [{files: [pods.json], refresh_interval: 2s}]}]
END
# Of each pod that has an address and a container with that port.
cat >pods.template <<'END'
[{{$comma := ""}}{{range $pod := .items}}{{if .status.podIP}}{{range $container := .spec.containers}}{{range .ports}}{{if eq (or .name "") "metrics"}}{{$comma}}
{"targets": ["{{$pod.status.podIP}}:{{.containerPort}}"], "labels": {"namespace": "{{$pod.metadata.namespace}}", "pod": "{{$pod.metadata.name}}", "container": "{{$container.name}}"}}{{$comma = ","}}{{end}}{{end}}{{end}}{{end}}{{end}}
]
END
write_pods() {
  while sleep 3; do
    kubectl get pods -A --output=go-template-file=pods.template >pods.new && mv pods.new pods.json
  done
}
start pods write_pods
start prometheus prometheus --config.file=prometheus.yml --storage.tsdb.path="$RUN/control/prometheus" \
  --web.listen-address="$CONTROL:9090" --log.level=warn
wait_for 120 Prometheus curl -fs "http://$CONTROL:9090/-/ready"
