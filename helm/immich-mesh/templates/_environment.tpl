{{/* The environment of the containers: what the chart sets, then `config`, then `env`; a later one wins. */}}

{{/* Nested settings as variables: `{batching: {max_batch_size: 8}}` gives OCR_BATCHING__MAX_BATCH_SIZE. Takes `prefix`, `config`. */}}
{{- define "immich-mesh.flatten" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .config }}
{{- $name := printf "%s%s" $prefix (upper $key) }}
{{- if kindIs "map" $value }}
{{- include "immich-mesh.flatten" (dict "prefix" (printf "%s__" $name) "config" $value) }}
{{- else if not (kindIs "invalid" $value) }}
{{ $name }}: {{ include "immich-mesh.text" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the chart sets for a model service. Takes `root`, `one`. */}}
{{- define "immich-mesh.serviceEnvironment" -}}
{{- $values := .root.Values -}}
{{- $settings := dict
  "host" $values.listenAddress
  "port" .one.ports.grpc
  "metrics_host" $values.listenAddress
  "metrics_port" .one.ports.metrics
  "drain_seconds" .one.termination.drainSeconds
  "cache_folder" $values.models.mountPath
  "offline" (or $values.models.offline (eq $values.models.source "image"))
  "hf_endpoint" $values.models.hubEndpoint
  "log_level" $values.logs.level
  "log_format" $values.logs.format
-}}
{{- $_ := set $settings "device" (include "immich-mesh.device" .one) -}}
{{- with .one.gpu.memoryLimit -}}{{- $_ := set $settings "gpu_memory_limit_bytes" (include "immich-mesh.bytes" .) -}}{{- end -}}
{{- /* A quarter of the container's memory for photos: models, runtimes and replies live in the rest. */ -}}
{{- with dig "limits" "memory" "" .one.resources -}}
{{- $_ := set $settings "photo_memory_bytes" (div (include "immich-mesh.bytes" . | int64) 4 | toString) -}}
{{- end -}}
{{- if $values.tls.enabled -}}
{{- $files := dict "cert_file" "/etc/immich-mesh/tls/tls.crt" "key_file" "/etc/immich-mesh/tls/tls.key" -}}
{{- if $values.tls.mutual -}}{{- $_ := set $files "ca_file" "/etc/immich-mesh/tls/ca.crt" -}}{{- end -}}
{{- if eq $values.tls.mode "permissive" -}}{{- $_ := set $files "permissive" true -}}{{- end -}}
{{- $_ := set $settings "tls" $files -}}
{{- end -}}
{{- include "immich-mesh.flatten" (dict "prefix" (printf "%s_" .one.prefix) "config" (mergeOverwrite $settings .one.config)) -}}
{{- end -}}

{{/* What a service runs its models on. Takes a component. */}}
{{- define "immich-mesh.device" -}}
{{- default (ternary "cuda" "auto" .gpu.enabled) .device -}}
{{- end -}}

{{/* The image's variant for that device: CUDA's libraries, Intel's GPU driver, or neither. Takes a component. */}}
{{- define "immich-mesh.variant" -}}
{{- get (dict "cuda" "cuda" "openvino:GPU" "intel") (include "immich-mesh.device" .) -}}
{{- end -}}

{{/* No library reports to its maker: see mesh/core/privacy.py. */}}
{{- define "immich-mesh.noReports" -}}
DO_NOT_TRACK: "1"
HF_HUB_DISABLE_TELEMETRY: "1"
ORT_DISABLE_TELEMETRY: "1"
{{- end -}}

{{/* The hub's token, as the variable that the hub's own tools know. */}}
{{- define "immich-mesh.hubToken" -}}
{{- with .Values.models.hubToken }}
{{- if .existingSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The variables of a component as a list for a container. */}}
{{- define "immich-mesh.env" -}}
{{- $plain := mergeOverwrite (dict "HOME" "/tmp") (include "immich-mesh.noReports" . | fromYaml) -}}
{{- if .one.grpc -}}
{{- $plain = mergeOverwrite $plain (include "immich-mesh.serviceEnvironment" . | fromYaml) -}}
{{- else -}}
{{- $plain = mergeOverwrite $plain (dict "ROUTER_CONFIG" "/etc/immich-mesh/config/router.yaml") -}}
{{- end -}}
{{- if .root.Values.auth.existingSecret -}}
{{- /* A file, not a variable: it is read again when the Secret changes. */ -}}
{{- $plain = mergeOverwrite $plain (dict "MESH_AUTH_TOKEN_FILE" "/etc/immich-mesh/auth/token") -}}
{{- end -}}
{{- with .root.Values.tracing.otlpEndpoint -}}
{{- $plain = mergeOverwrite $plain (dict "OTEL_EXPORTER_OTLP_ENDPOINT" .) -}}
{{- end -}}
{{- if and .one.gpu.enabled (eq (int .one.gpu.count) 0) (eq (include "immich-mesh.variant" .one) "cuda") -}}
{{- $plain = mergeOverwrite $plain (dict "NVIDIA_VISIBLE_DEVICES" "all") -}}
{{- end -}}
{{- $theirs := list -}}
{{- range .one.env -}}{{- $theirs = append $theirs .name -}}{{- end -}}
{{- range $name, $value := $plain -}}
{{- if not (has $name $theirs) }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end -}}
{{- end }}
{{- if .one.grpc }}
{{- include "immich-mesh.hubToken" .root }}
{{- end }}
{{- $heals := and (not .one.grpc) .root.Values.immich.apiKey.existingSecret }}
{{- with $heals }}
- name: ROUTER_HEALING__API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.root.Values.immich.apiKey.key }}
{{- end }}
{{- if and (or $heals (eq .one.name "frontDoor")) .root.Values.database.existingSecret }}
- name: ROUTER_LISTENERS__PHOTOS__DATABASE__URL
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.database.existingSecret }}
      key: {{ .root.Values.database.key }}
{{- end }}
{{- if and (include "immich-mesh.watches" .) (not .one.config.zone) }}
- name: ROUTER_ZONE
  valueFrom:
    fieldRef:
      {{- /* Put on pods by Kubernetes 1.35 and newer; empty before. */}}
      fieldPath: metadata.labels['topology.kubernetes.io/zone']
{{- end }}
{{- with .one.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The router's configuration file: listeners, clusters by DNS, TLS; the user's `config` over it. Takes `root`, `one`. */}}
{{- define "immich-mesh.routerConfig" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $on := dict "enabled" true "host" $values.listenAddress -}}
{{- $off := dict "enabled" false -}}
{{- $door := eq .one.name "frontDoor" -}}
{{- /* For the admin page, which shows what to enter in Immich. */ -}}
{{- $urls := list -}}
{{- range (include "immich-mesh.installed" $root | fromYaml).items -}}
{{- if has "immich-ml" .exposed -}}
{{- $urls = append $urls (printf "http://%s:%d" (include "immich-mesh.host" (dict "root" $root "one" .)) (int (get .ports "immich-ml"))) -}}
{{- end -}}
{{- end -}}
{{- $config := dict
  "listeners" (dict
    "immich_ml" (merge (dict "urls" $urls) (ternary $off (merge (dict "port" (get .one.ports "immich-ml")) $on) $door))
    "mt_photos" (ternary $off (merge (dict "port" (get .one.ports "mt-photos")) $on) $door)
    "photos" (ternary (merge (dict "port" (get .one.ports "photos") "immich_url" $values.immich.url) $on) $off $door)
    "admin" (dict "enabled" true "host" "127.0.0.1" "port" .one.ports.admin)
  )
  "metrics_host" $values.listenAddress
  "metrics_port" .one.ports.metrics
  "drain_seconds" .one.termination.drainSeconds
  "log_level" $values.logs.level
  "log_format" $values.logs.format
-}}
{{- if $values.immich.apiKey.existingSecret -}}
{{- if $door -}}
{{- /* Its key only looks: the routers heal, who know what they could not answer, and are counted when they stop. */ -}}
{{- $_ := set $config "healing" (dict "enabled" false) -}}
{{- else -}}
{{- $_ := set $config.listeners "photos" (dict "enabled" false "immich_url" $values.immich.url) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "ocr" "clip" "face" -}}
{{- $service := include "immich-mesh.component" (dict "root" $root "name" $name) | fromYaml -}}
{{- if $service.installed -}}
{{- /* dns:/// stands for every address behind the name, asked for again and again; kubernetes:/// for a Service's pods. */ -}}
{{- $address := printf "dns:///%s:%d" (include "immich-mesh.host" (dict "root" $root "one" $service)) (int $service.ports.grpc) -}}
{{- if eq $values.discovery "endpointSlices" -}}
{{- $address = printf "kubernetes:///%s.%s:%d" $service.fullname $root.Release.Namespace (int $service.ports.grpc) -}}
{{- end -}}
{{- $_ := set $config (printf "%s_endpoints" $name) (list $address) -}}
{{- if has $name (list "ocr" "clip") -}}
{{- with $service.config.model_name -}}{{- $_ := set $config (printf "%s_model" $name) . -}}{{- end -}}
{{- end -}}
{{- else -}}
{{- $_ := set $config (printf "%s_endpoints" $name) list -}}
{{- end -}}
{{- end -}}
{{- if $values.tls.enabled -}}
{{- $files := dict "ca_file" "/etc/immich-mesh/tls/ca.crt" -}}
{{- if $values.tls.mutual -}}
{{- $files = merge $files (dict "cert_file" "/etc/immich-mesh/tls/tls.crt" "key_file" "/etc/immich-mesh/tls/tls.key") -}}
{{- end -}}
{{- if eq $values.tls.mode "permissive" -}}{{- $_ := set $files "permissive" true -}}{{- end -}}
{{- $_ := set $config "upstream_tls" $files -}}
{{- end -}}
{{- mergeOverwrite $config .one.config | toYaml -}}
{{- end -}}
