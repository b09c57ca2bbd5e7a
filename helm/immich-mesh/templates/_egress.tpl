{{/* Where connections may lead: egress rules of the network policies. */}}

{{/* The port of an address, as text: of `http://immich:2283/api` 2283, of `https://hub` 443. Takes text. */}}
{{- define "immich-mesh.portOf" -}}
{{- $host := regexReplaceAll "^[a-z]+://([^/]*@)?" . "" | regexFind "^[^/]*" -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- default (hasPrefix "https:" . | ternary "443" "80") $port -}}
{{- end -}}

{{/* Ports, as rules to any address: who listens there is not the chart's to know. Takes a list of numbers. */}}
{{- define "immich-mesh.openPorts" -}}
{{- with . | uniq -}}
- ports:
    {{- range . }}
    - {protocol: TCP, port: {{ . | int }}}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* The rules of one component, or of a Job, whose `one` has a `name` and `grpc` alone. Takes `root`, `one`. */}}
{{- define "immich-mesh.egress" -}}
{{- $values := .root.Values -}}
{{- $ports := list -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- if .one.grpc }}
{{- if not (or $values.models.offline (eq $values.models.source "image")) }}
{{- $ports = concat $ports $values.networkPolicy.egress.hubPorts (list (include "immich-mesh.portOf" $values.models.hubEndpoint | int)) }}
{{- end }}
{{- else if eq .one.name "database" }}
{{- $ports = append $ports $values.networkPolicy.egress.databasePort }}
{{- else }}
- to:
    - podSelector:
        matchLabels:
          {{- include "immich-mesh.selectorLabels" .root | nindent 10 }}
        matchExpressions:
          - {key: app.kubernetes.io/component, operator: In, values: [ocr, clip, face]}
  ports:
    - {protocol: TCP, port: grpc}
{{- /* Services elsewhere, Immich's own ML server as a last resort: whatever the user's configuration names. */}}
{{- range $address := regexFindAll "[a-z]*:?/*[A-Za-z0-9.-]+:[0-9]{2,5}\\b|https?://[A-Za-z0-9.-]+" (toJson .one.config) -1 }}
{{- $ports = append $ports (include "immich-mesh.portOf" $address | int) }}
{{- end }}
{{- if include "immich-mesh.watches" . }}
{{- $ports = concat $ports $values.networkPolicy.egress.apiServerPorts }}
{{- end }}
{{- with $values.immich.url }}
{{- $ports = append $ports (include "immich-mesh.portOf" . | int) }}
{{- end }}
{{- if $values.database.existingSecret }}
{{- $ports = append $ports $values.networkPolicy.egress.databasePort }}
{{- end }}
{{- end }}
{{- with $values.tracing.otlpEndpoint }}
{{- $ports = append $ports (include "immich-mesh.portOf" . | int) }}
{{- end }}
{{- with $ports }}
{{ include "immich-mesh.openPorts" . }}
{{- end }}
{{- with $values.networkPolicy.egress.extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}
