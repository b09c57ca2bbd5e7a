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

{{/* An image's reference. Takes `root`, `image` (repository, tag, digest) and `cuda`. */}}
{{- define "immich-mesh.image" -}}
{{- $root := .root -}}
{{- $name := .image.repository -}}
{{- with $root.Values.image.registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .) $name -}}{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else if .image.tag -}}
{{- printf "%s:%s" $name .image.tag -}}
{{- else -}}
{{- printf "%s:%s%s" $name (default $root.Chart.AppVersion $root.Values.image.tag) (ternary "-cuda" "" .cuda) -}}
{{- end -}}
{{- end -}}

{{/* Pull policy and secrets, as the values say. */}}
{{- define "immich-mesh.pullPolicy" -}}
{{- default .root.Values.image.pullPolicy .image.pullPolicy -}}
{{- end -}}

{{- define "immich-mesh.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
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

{{/* A Kubernetes quantity in bytes: 2Gi is 2147483648. */}}
{{- define "immich-mesh.bytes" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9]+" $text | int64 -}}
{{- $unit := regexReplaceAll "^[0-9]+" $text "" -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mul $number (get $factors $unit | int64) -}}
{{- end -}}
