{{/* Made by scripts/generate-docs.mjs from the code; do not edit. */}}

{{/* Defaults of the settings that every service has, as texts. */}}
{{- define "tessera.defaults" -}}
{
  "grpc.host": "127.0.0.1",
  "grpc.port": "0",
  "grpc.certRefreshMs": "60000",
  "grpc.maxMessageBytes": "4194304",
  "grpc.maxConcurrentStreams": "1000",
  "grpc.keepaliveMs": "30000",
  "grpc.defaultDeadlineMs": "120000",
  "grpc.maxDeadlineMs": "600000",
  "grpc.maxStallMs": "60000",
  "metrics.host": "127.0.0.1",
  "metrics.port": "0",
  "log.level": "info",
  "log.format": "json",
  "traces.flushMs": "2000",
  "drain.graceMs": "30000",
  "nats.url": "nats://127.0.0.1:4222",
  "nats.tls": "auto",
  "nats.prefix": "tessera",
  "nats.waitMs": "60000",
  "nats.partBytes": "524288",
  "nats.shards": "1",
  "nats.replicas": "1",
  "nats.maxJobs": "4096",
  "nats.encodeBytes": "134217728",
  "nats.connectBytes": "134217728",
  "nats.generateBytes": "33554432",
  "nats.visualTokensBytes": "201326592",
  "nats.drawingsBytes": "67108864",
  "nats.partsBytes": "268435456",
  "nats.uploadsBytes": "134217728",
  "nats.uploadMs": "3600000",
  "nats.queueWaitMs": "10000",
  "nats.ackWaitMs": "5000",
  "nats.stallMs": "120000",
  "nats.maxDeliveries": "4",
  "nats.maxTensorBytes": "33554432",
  "nats.maxPendingBytes": "268435456",
  "nats.revisionIdleMs": "3600000"
}
{{- end -}}

{{/* The stream and the consumer of each queue: (dict "prefix" ... "revision" ...). */}}
{{- define "tessera.queues" -}}
{
  "encode": {
    "stream": "{{ .prefix }}_v2_encode_{{ .revision }}",
    "consumer": "workers"
  },
  "connect": {
    "stream": "{{ .prefix }}_v2_connect_{{ .revision }}",
    "consumer": "workers"
  },
  "generate": {
    "stream": "{{ .prefix }}_v2_generate_{{ .revision }}",
    "consumer": "workers"
  }
}
{{- end -}}

{{/* Settings of .service that a chart gives itself, with where the operator says it instead. */}}
{{- define "tessera.ownedSettings" -}}
{{- if eq .service "encoder" -}}
{
  "model.dir": "set model.source",
  "grpc.host": "set listenHost",
  "grpc.port": "it is 7000, and the Service of the same port",
  "grpc.certFile": "set tls.existingSecret",
  "grpc.keyFile": "set tls.existingSecret",
  "grpc.clientCaFile": "set tls.mutual",
  "metrics.host": "set listenHost",
  "metrics.port": "it is 9090",
  "nats.url": "set nats.url beside config, not in it",
  "nats.user": "set nats.user beside config, not in it",
  "nats.passwordFile": "set nats.existingSecret and nats.secretKeys.password",
  "nats.tokenFile": "set nats.existingSecret and nats.secretKeys.token",
  "nats.nkeyFile": "set nats.existingSecret and nats.secretKeys.nkey",
  "nats.credentialsFile": "set nats.existingSecret and nats.secretKeys.credentials",
  "nats.tls": "set nats.tls.require beside config, not in it",
  "nats.caFile": "set nats.tls.existingSecret",
  "nats.certFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.keyFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.serverName": "set nats.tls.serverName"
}
{{- end -}}
{{- if eq .service "connector" -}}
{
  "model.dir": "set model.source",
  "grpc.host": "set listenHost",
  "grpc.port": "it is 7000, and the Service of the same port",
  "grpc.certFile": "set tls.existingSecret",
  "grpc.keyFile": "set tls.existingSecret",
  "grpc.clientCaFile": "set tls.mutual",
  "metrics.host": "set listenHost",
  "metrics.port": "it is 9090",
  "nats.url": "set nats.url beside config, not in it",
  "nats.user": "set nats.user beside config, not in it",
  "nats.passwordFile": "set nats.existingSecret and nats.secretKeys.password",
  "nats.tokenFile": "set nats.existingSecret and nats.secretKeys.token",
  "nats.nkeyFile": "set nats.existingSecret and nats.secretKeys.nkey",
  "nats.credentialsFile": "set nats.existingSecret and nats.secretKeys.credentials",
  "nats.tls": "set nats.tls.require beside config, not in it",
  "nats.caFile": "set nats.tls.existingSecret",
  "nats.certFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.keyFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.serverName": "set nats.tls.serverName"
}
{{- end -}}
{{- if eq .service "generator" -}}
{
  "model.dir": "set model.source",
  "grpc.host": "set listenHost",
  "grpc.port": "it is 7000, and the Service of the same port",
  "grpc.certFile": "set tls.existingSecret",
  "grpc.keyFile": "set tls.existingSecret",
  "grpc.clientCaFile": "set tls.mutual",
  "metrics.host": "set listenHost",
  "metrics.port": "it is 9090",
  "nats.url": "set nats.url beside config, not in it",
  "nats.user": "set nats.user beside config, not in it",
  "nats.passwordFile": "set nats.existingSecret and nats.secretKeys.password",
  "nats.tokenFile": "set nats.existingSecret and nats.secretKeys.token",
  "nats.nkeyFile": "set nats.existingSecret and nats.secretKeys.nkey",
  "nats.credentialsFile": "set nats.existingSecret and nats.secretKeys.credentials",
  "nats.tls": "set nats.tls.require beside config, not in it",
  "nats.caFile": "set nats.tls.existingSecret",
  "nats.certFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.keyFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.serverName": "set nats.tls.serverName"
}
{{- end -}}
{{- if eq .service "gateway" -}}
{
  "model.dir": "set model.source",
  "grpc.host": "set listenHost",
  "grpc.port": "it is 7000, and the Service of the same port",
  "grpc.certFile": "set tls.existingSecret",
  "grpc.keyFile": "set tls.existingSecret",
  "grpc.clientCaFile": "set tls.mutual",
  "metrics.host": "set listenHost",
  "metrics.port": "it is 9090",
  "nats.url": "set nats.url beside config, not in it",
  "nats.user": "set nats.user beside config, not in it",
  "nats.passwordFile": "set nats.existingSecret and nats.secretKeys.password",
  "nats.tokenFile": "set nats.existingSecret and nats.secretKeys.token",
  "nats.nkeyFile": "set nats.existingSecret and nats.secretKeys.nkey",
  "nats.credentialsFile": "set nats.existingSecret and nats.secretKeys.credentials",
  "nats.tls": "set nats.tls.require beside config, not in it",
  "nats.caFile": "set nats.tls.existingSecret",
  "nats.certFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.keyFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.serverName": "set nats.tls.serverName",
  "engines.caFile": "set engines.tls.existingSecret",
  "engines.certFile": "set engines.tls.existingSecret and engines.tls.mutual",
  "engines.keyFile": "set engines.tls.existingSecret and engines.tls.mutual",
  "engines.serverName": "set engines.tls.serverName"
}
{{- end -}}
{{- if eq .service "llm" -}}
{
  "model.dir": "set model.source",
  "grpc.host": "set listenHost",
  "grpc.port": "it is 7000, and the Service of the same port",
  "grpc.certFile": "set tls.existingSecret",
  "grpc.keyFile": "set tls.existingSecret",
  "grpc.clientCaFile": "set tls.mutual",
  "metrics.host": "set listenHost",
  "metrics.port": "it is 9090",
  "nats.url": "set nats.url beside config, not in it",
  "nats.user": "set nats.user beside config, not in it",
  "nats.passwordFile": "set nats.existingSecret and nats.secretKeys.password",
  "nats.tokenFile": "set nats.existingSecret and nats.secretKeys.token",
  "nats.nkeyFile": "set nats.existingSecret and nats.secretKeys.nkey",
  "nats.credentialsFile": "set nats.existingSecret and nats.secretKeys.credentials",
  "nats.tls": "set nats.tls.require beside config, not in it",
  "nats.caFile": "set nats.tls.existingSecret",
  "nats.certFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.keyFile": "set nats.tls.existingSecret and nats.tls.mutual",
  "nats.serverName": "set nats.tls.serverName"
}
{{- end -}}
{{- end -}}
