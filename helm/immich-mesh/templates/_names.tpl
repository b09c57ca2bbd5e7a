{{/* Names, labels and images. */}}

{{- define "immich-mesh.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Common start of all names: the release's, or release and chart. Short enough for the longest suffix. */}}
{{- define "immich-mesh.fullname" -}}
{{- $name := include "immich-mesh.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "immich-mesh.selectorLabels" -}}
app.kubernetes.io/name: {{ include "immich-mesh.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "immich-mesh.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "immich-mesh.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: immich
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image's reference. Takes `root`, `image` (repository, tag, digest) and `variant`, which may be empty. */}}
{{- define "immich-mesh.image" -}}
{{- $root := .root -}}
{{- $name := .image.repository -}}
{{- with default (dig "imageRegistry" "" ($root.Values.global | default dict)) $root.Values.image.registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .) $name -}}{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else if .image.tag -}}
{{- printf "%s:%s" $name .image.tag -}}
{{- else -}}
{{- printf "%s:%s" $name (default $root.Chart.AppVersion $root.Values.image.tag) -}}
{{- with .variant -}}{{- printf "-%s" . -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Pull policy and secrets, as the values say. */}}
{{- define "immich-mesh.pullPolicy" -}}
{{- default .root.Values.image.pullPolicy .image.pullPolicy -}}
{{- end -}}

{{- define "immich-mesh.pullSecrets" -}}
{{- $secrets := .Values.image.pullSecrets -}}
{{- range dig "imagePullSecrets" list (.Values.global | default dict) -}}
{{- /* Charts differ: names, or objects with a name. */ -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets | uniq }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A number or word as the text of an environment variable: 8589934592 stays that, not 8.589934592e+09. */}}
{{- define "immich-mesh.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else if kindIs "slice" . -}}
{{- join "," . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* A Kubernetes quantity in bytes: 1.5Gi is 1610612736. */}}
{{- define "immich-mesh.bytes" -}}
{{- $text := include "immich-mesh.text" . -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $factors $unit) -}}{{- fail (printf "%s: a quantity such as 512Mi or 2Gi is meant" $text) -}}{{- end -}}
{{- mulf (float64 $number) (get $factors $unit) | floor | int64 -}}
{{- end -}}
