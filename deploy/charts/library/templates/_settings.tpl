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

{{/* The same of the settings that .service has for itself. */}}
{{- define "tessera.serviceDefaults" -}}
{{- if eq .service "encoder" -}}
{
  "requests.maxPauseMs": "20000",
  "threads": "1",
  "device": "cpu",
  "batch.max": "8",
  "batch.maxWaiting": "512",
  "jobs.slots": "8",
  "calls.max": "32",
  "batch.waitMs": "2",
  "media.maxBytes": "67108864",
  "media.maxPixels": "64000000",
  "media.maxPixelsInFlight": "128000000",
  "media.decodeTimeoutS": "30",
  "media.svgCpuMs": "5000",
  "media.svgMemoryBytes": "536870912",
  "media.svgProcesses": "2",
  "media.svgMaxWaiting": "64"
}
{{- end -}}
{{- if eq .service "connector" -}}
{
  "requests.maxPauseMs": "20000",
  "threads": "1",
  "device": "cpu",
  "batch.max": "32",
  "batch.maxWaiting": "1024",
  "jobs.slots": "32",
  "calls.max": "64",
  "batch.waitMs": "2"
}
{{- end -}}
{{- if eq .service "llm" -}}
{
  "threads": "1",
  "device": "cpu",
  "engine.backend": "auto",
  "engine.maxRunning": "16",
  "engine.maxWaiting": "64",
  "engine.maxWaitingForTiles": "64",
  "engine.maxTakeovers": "1024",
  "kv.reusePrefixes": "true",
  "engine.maxStepTokens": "512",
  "engine.maxChunkTokens": "256",
  "engine.speculativeTokens": "0",
  "engine.speculationNgram": "2",
  "engine.tileTimeoutMs": "10000",
  "role": "engine",
  "experts.rowType": "float32",
  "experts.callTimeoutMs": "5000",
  "experts.missingMs": "30000",
  "experts.hedge": "true",
  "layers.remote": "false",
  "layers.rowType": "float32",
  "layers.stepsAtOnce": "0",
  "layers.enginesPerShard": "2",
  "layers.callTimeoutMs": "30000",
  "layers.missingMs": "30000",
  "engine.maxDrawings": "4"
}
{{- end -}}
{{- if eq .service "generator" -}}
{
  "requests.maxPauseMs": "20000",
  "threads": "1",
  "device": "cpu",
  "batch.max": "4",
  "batch.maxWaiting": "64",
  "jobs.slots": "8",
  "calls.max": "32",
  "draw.maxSteps": "200",
  "draw.maxGuidance": "20"
}
{{- end -}}
{{- if eq .service "gateway" -}}
{
  "requests.maxPauseMs": "20000",
  "requests.maxInFlight": "512",
  "requests.maxMessages": "256",
  "requests.maxTextCharacters": "262144",
  "requests.maxChoices": "8",
  "requests.maxAttempts": "3",
  "admission.safety": "1.2",
  "clients.maxPriority": "0",
  "clients.maxRequests": "256",
  "clients.maxHeldBytes": "268435456",
  "clients.maxUploadedBytes": "67108864",
  "media.maxItems": "8",
  "media.maxBytes": "33554432",
  "media.maxPixels": "64000000",
  "media.maxHeldBytes": "536870912",
  "encode.tilesPerJob": "4",
  "draw.maxSteps": "200",
  "draw.maxGuidance": "20",
  "engines.waitMs": "3000",
  "engines.expectMs": "300000"
}
{{- end -}}
{{- end -}}

{{/* What NATS must have room for: the settings that say so for each revision and for all, and the bytes of what is always there. */}}
{{- define "tessera.streamBytes" -}}
{
  "eachRevision": [
    "nats.encodeBytes",
    "nats.connectBytes",
    "nats.generateBytes"
  ],
  "shared": [
    "nats.visualTokensBytes",
    "nats.drawingsBytes",
    "nats.partsBytes",
    "nats.uploadsBytes"
  ],
  "always": 17825792
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
  "nats.serverName": "set nats.tls.serverName",
  "role": "the chart has engines, experts.groups and layers.pieces",
  "engine.advertise": "set advertise",
  "experts.placementFile": "set experts.placement",
  "experts.group": "set experts.groups",
  "experts.caFile": "set tls.existingSecret",
  "experts.certFile": "set tls.existingSecret and tls.mutual",
  "experts.keyFile": "set tls.existingSecret and tls.mutual",
  "experts.serverName": "set experts.tls.serverName",
  "layers.remote": "set layers.pieces",
  "layers.piece": "set layers.pieces",
  "layers.caFile": "set tls.existingSecret",
  "layers.certFile": "set tls.existingSecret and tls.mutual",
  "layers.keyFile": "set tls.existingSecret and tls.mutual",
  "layers.serverName": "set layers.tls.serverName"
}
{{- end -}}
{{- end -}}
