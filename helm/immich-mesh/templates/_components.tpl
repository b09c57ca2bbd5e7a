{{/*
The components: what the chart knows of each beyond its values. `slug` is its name in objects, `module` what Python runs,
`prefix` that of its settings, `ports` what it listens on (the first one is its Service's main port), `grpcService` the gRPC
service whose health means "ready". ModelService serves from the start to the end, so its health means "alive". `over` names
the component whose values are its own too, where it says nothing else: Immich tries each of its URLs once and then drops the
job, so that it needs two that never lead to the same router; two Deployments with a Service each are that.
*/}}
{{- define "immich-mesh.components" -}}
router:
  slug: router
  module: router
  ports: {immich-ml: 3003, mt-photos: 8060, admin: 9901, metrics: 9464}
  exposed: [immich-ml, mt-photos, metrics]
secondRouter:
  slug: router-2
  over: router
  module: router
  ports: {immich-ml: 3003, mt-photos: 8060, admin: 9901, metrics: 9464}
  exposed: [immich-ml, mt-photos, metrics]
frontDoor:
  slug: front-door
  module: router
  ports: {photos: 2283, admin: 9901, metrics: 9464}
  exposed: [photos, metrics]
ocr:
  slug: ocr
  module: ocr_service
  prefix: OCR
  family: ocr
  grpcService: immich_mesh.ocr.v1.OcrService
  ports: {grpc: 50051, metrics: 9464}
  exposed: [grpc, metrics]
clip:
  slug: clip
  module: clip_service
  prefix: CLIP
  family: clip
  grpcService: immich_mesh.clip.v1.ClipService
  ports: {grpc: 50052, metrics: 9464}
  exposed: [grpc, metrics]
face:
  slug: face
  module: face_service
  prefix: FACE
  family: facial-recognition
  grpcService: immich_mesh.face.v1.FaceService
  ports: {grpc: 50053, metrics: 9464}
  exposed: [grpc, metrics]
{{- end -}}

{{/* One component whole: its facts and its values over `defaults`. Takes `root` and `name`; gives YAML. */}}
{{- define "immich-mesh.component" -}}
{{- $root := .root -}}
{{- $facts := get (include "immich-mesh.components" $root | fromYaml) .name -}}
{{- $values := deepCopy $root.Values.defaults -}}
{{- with $facts.over -}}{{- $values = mergeOverwrite $values (deepCopy (get $root.Values .)) -}}{{- end -}}
{{- $values = mergeOverwrite $values (deepCopy (get $root.Values .name)) -}}
{{- $grpc := hasKey $facts "grpcService" -}}
{{- $installed := $values.enabled -}}
{{- with $facts.over -}}
{{- $installed = and $installed (mergeOverwrite (deepCopy $root.Values.defaults) (deepCopy (get $root.Values .))).enabled -}}
{{- end -}}
{{- if eq .name "frontDoor" -}}
{{- $installed = and $installed (or $root.Values.immich.url $root.Values.database.existingSecret) | not | not -}}
{{- end -}}
{{- $fullname := printf "%s-%s" (include "immich-mesh.fullname" $root) $facts.slug -}}
{{- $extra := dict "name" .name "grpc" $grpc "installed" $installed "fullname" $fullname -}}
{{- merge $extra $facts $values | toYaml -}}
{{- end -}}

{{/* All of them, the routers first. */}}
{{- define "immich-mesh.componentNames" -}}
items: [router, secondRouter, frontDoor, ocr, clip, face]
{{- end -}}

{{/* The installed components, as a YAML map `items`. Everything that ranges over components starts here. */}}
{{- define "immich-mesh.installed" -}}
{{- $root := . -}}
{{- $items := list -}}
{{- range $name := (include "immich-mesh.componentNames" . | fromYaml).items -}}
{{- $one := include "immich-mesh.component" (dict "root" $root "name" $name) | fromYaml -}}
{{- if $one.installed -}}{{- $items = append $items $one -}}{{- end -}}
{{- end -}}
{{- dict "items" $items | toYaml -}}
{{- end -}}

{{/* The Services of those that call ocr, clip and face, and so know what is not answered yet. A YAML map `items`. */}}
{{- define "immich-mesh.callers" -}}
{{- $items := list -}}
{{- range (include "immich-mesh.installed" . | fromYaml).items -}}
{{- if not .grpc -}}{{- $items = append $items .fullname -}}{{- end -}}
{{- end -}}
{{- dict "items" $items | toYaml -}}
{{- end -}}

{{- define "immich-mesh.componentSelector" -}}
{{ include "immich-mesh.selectorLabels" .root }}
app.kubernetes.io/component: {{ .one.slug }}
{{- end -}}

{{- define "immich-mesh.componentLabels" -}}
{{ include "immich-mesh.labels" .root }}
app.kubernetes.io/component: {{ .one.slug }}
{{- end -}}

{{/*
The pods that stand in for one another: those of both routers, else the component's own. A label selector. Takes `root`, `one`.
*/}}
{{- define "immich-mesh.peerSelector" -}}
{{- if has .one.name (list "router" "secondRouter") -}}
matchLabels:
  {{- include "immich-mesh.selectorLabels" .root | nindent 2 }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: In, values: [router, router-2]}
{{- else -}}
matchLabels:
  {{- include "immich-mesh.componentSelector" . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* `metadata` of an object of a component. Takes `root`, `one`, and optionally `name` and `annotations`. */}}
{{- define "immich-mesh.metadata" -}}
metadata:
  name: {{ default .one.fullname .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "immich-mesh.componentLabels" . | nindent 4 }}
  {{- include "immich-mesh.annotations" . | nindent 2 }}
{{- end -}}

{{/* Annotations of an object: everyone's and its own. Takes `root` and `annotations`. */}}
{{- define "immich-mesh.annotations" -}}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "immich-mesh.serviceAccountName" -}}
{{- if .serviceAccount.create -}}
{{- default .fullname .serviceAccount.name -}}
{{- else -}}
{{- default "default" .serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The DNS name of a component's Service. */}}
{{- define "immich-mesh.host" -}}
{{- printf "%s.%s.svc.%s" .one.fullname .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end -}}

{{/* Name of the Secret with the certificate of router and services. */}}
{{- define "immich-mesh.tlsSecret" -}}
{{- default (printf "%s-tls" (include "immich-mesh.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}
