{{/* The pod of a component. Takes `root`, `one`. */}}
{{- define "immich-mesh.pod" -}}
{{- $root := .root -}}
{{- $one := .one -}}
{{- /* No version and no chart among the labels: a release that changes nothing else restarts nothing. */}}
metadata:
  labels:
    {{- include "immich-mesh.componentSelector" . | nindent 4 }}
    app.kubernetes.io/part-of: immich
    {{- with $root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $one.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $one.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "immich-mesh.serviceAccountName" $one }}
  automountServiceAccountToken: {{ include "immich-mesh.watches" . | eq "true" }}
  # A Service called `ocr` in this namespace would otherwise set OCR_PORT=tcp://…
  enableServiceLinks: false
  {{- include "immich-mesh.pullSecrets" $root | nindent 2 }}
  terminationGracePeriodSeconds: {{ add $one.termination.preStopSeconds $one.termination.drainSeconds 10 }}
  securityContext:
    {{- toYaml $one.podSecurityContext | nindent 4 }}
  {{- if $one.gpu.enabled }}
  {{- with $one.gpu.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- end }}
  {{- with $one.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $one.schedulerName }}
  schedulerName: {{ . }}
  {{- end }}
  {{- if not (kindIs "invalid" $one.hostUsers) }}
  hostUsers: {{ $one.hostUsers }}
  {{- end }}
  {{- with $one.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $one.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $one.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $one.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $one.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $one.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ merge (deepCopy .) (dict "labelSelector" (include "immich-mesh.peerSelector" $ | fromYaml)) | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- if include "immich-mesh.claimsCard" $one }}
  resourceClaims:
    - name: gpu
      {{- if $one.gpu.dra.claimName }}
      resourceClaimName: {{ $one.gpu.dra.claimName }}
      {{- else }}
      resourceClaimTemplateName: {{ $one.fullname }}-gpu
      {{- end }}
  {{- end }}
  {{- with concat $one.extraInitContainers ((include "immich-mesh.modelContainers" . | fromYaml).items | default list) }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{- include "immich-mesh.container" . | nindent 6 }}
    {{- with $one.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "immich-mesh.volumes" . | nindent 4 }}
{{- end -}}

{{- define "immich-mesh.container" -}}
{{- $one := .one -}}
name: {{ $one.slug }}
image: {{ include "immich-mesh.image" (dict "root" .root "image" $one.image "variant" (ternary (include "immich-mesh.variant" $one) "" $one.grpc)) }}
imagePullPolicy: {{ include "immich-mesh.pullPolicy" (dict "root" .root "image" $one.image) }}
{{- /* The image's entrypoint is tini. */}}
args: {{ concat (list "python" "-m" $one.module) $one.extraArgs | toJson }}
env:
  {{- include "immich-mesh.env" . | nindent 2 }}
{{- with $one.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- range $name, $port := $one.ports }}
  {{- if has $name $one.exposed }}
  - name: {{ $name }}
    containerPort: {{ $port }}
    protocol: TCP
  {{- end }}
  {{- end }}
{{- include "immich-mesh.probes" . }}
{{- include "immich-mesh.preStop" $one }}
resources:
  {{- include "immich-mesh.resources" $one | nindent 2 }}
securityContext:
  {{- toYaml $one.securityContext | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if $one.grpc }}
  {{- if ne .root.Values.models.source "image" }}
  - name: models
    mountPath: {{ .root.Values.models.mountPath }}
  {{- end }}
  {{- else }}
  - name: config
    mountPath: /etc/immich-mesh/config
    readOnly: true
  {{- end }}
  {{- if .root.Values.auth.existingSecret }}
  - name: auth
    mountPath: /etc/immich-mesh/auth
    readOnly: true
  {{- end }}
  {{- if .root.Values.tls.enabled }}
  - name: tls
    mountPath: /etc/immich-mesh/tls
    readOnly: true
  {{- end }}
  {{- with $one.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "immich-mesh.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if .one.grpc }}
{{- $models := .root.Values.models }}
{{- if eq $models.source "persistentVolumeClaim" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ include "immich-mesh.claimName" .root }}
{{- else if eq $models.source "emptyDir" }}
- name: models
  emptyDir:
    {{- with $models.emptyDirSizeLimit }}
    sizeLimit: {{ . }}
    {{- else }} {}
    {{- end }}
{{- end }}
{{- else }}
- name: config
  configMap:
    name: {{ .one.fullname }}
{{- end }}
{{- if .root.Values.auth.existingSecret }}
- name: auth
  secret:
    secretName: {{ .root.Values.auth.existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ .root.Values.auth.key }}, path: token}
{{- end }}
{{- if .root.Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "immich-mesh.tlsSecret" .root }}
    defaultMode: 0440
{{- end }}
{{- with .one.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whether a component's card comes by a ResourceClaim: "true" or nothing. Takes a component. */}}
{{- define "immich-mesh.claimsCard" -}}
{{- if and .gpu.enabled (eq .gpu.sharing "dra") -}}true{{- end -}}
{{- end -}}

{{/* Whether a component watches EndpointSlices: "true" or nothing. Takes `root`, `one`. */}}
{{- define "immich-mesh.watches" -}}
{{- if and (not .one.grpc) (eq .root.Values.discovery "endpointSlices") -}}true{{- end -}}
{{- end -}}

{{/* Resources with the GPU, whose request and limit are equal. Takes a component. */}}
{{- define "immich-mesh.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if include "immich-mesh.claimsCard" . -}}
{{- $_ := set $resources "claims" (list (dict "name" "gpu")) -}}
{{- else if and .gpu.enabled (gt (int .gpu.count) 0) -}}
{{- $cards := dict .gpu.resourceName (toString .gpu.count) -}}
{{- $resources = mergeOverwrite (dict "requests" dict "limits" dict) $resources (dict "requests" $cards "limits" $cards) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/*
Probes. A service is ready when its own gRPC service says SERVING (models loaded, not draining) and alive while
ModelService does. The kubelet speaks no TLS to gRPC servers, so with TLS the image's own check asks instead. The router
is ready when it listens, whatever its services do: it holds requests, a missing endpoint loses them. Its listeners choose
whom they answer (networks, secret host names), so it is asked for its life from within.
*/}}
{{- define "immich-mesh.probes" -}}
{{- $one := .one -}}
{{- $tls := .root.Values.tls.enabled -}}
{{- range $kind := list "startup" "readiness" "liveness" }}
{{- $times := get $one.probes $kind }}
{{ $kind }}Probe:
  {{- if $one.grpc }}
  {{- $asked := ternary "immich_mesh.model.v1.ModelService" $one.grpcService (eq $kind "liveness") }}
  {{- if $tls }}
  exec:
    command: [python, -m, mesh.core.healthcheck, {{ $one.ports.grpc | quote }}, {{ $asked }}]
  {{- else }}
  grpc:
    port: {{ $one.ports.grpc }}
    service: {{ $asked }}
  {{- end }}
  {{- else if eq $kind "liveness" }}
  exec:
    command: [python, -m, mesh.core.healthcheck, "http://127.0.0.1:{{ $one.ports.admin }}/info"]
  {{- else }}
  tcpSocket:
    port: {{ first $one.exposed }}
  {{- end }}
  periodSeconds: {{ $times.periodSeconds }}
  timeoutSeconds: {{ $times.timeoutSeconds }}
  failureThreshold: {{ $times.failureThreshold }}
{{- end }}
{{- end -}}

{{/*
What happens between leaving the Service and SIGTERM. A service only waits until the routers have heard of it. A router
waits for the proxies, then closes its connections one by one after an answer (Immich keeps idle ones for 4 s), so that
none is cut while a request is on its way. Takes a component.
*/}}
{{- define "immich-mesh.preStop" -}}
{{- $seconds := int .termination.preStopSeconds -}}
{{- if gt $seconds 0 }}
lifecycle:
  preStop:
    exec:
      {{- if .grpc }}
      command: [sleep, {{ $seconds | quote }}]
      {{- else }}
      command:
        - sh
        - -c
        - sleep "$1"; python -c "$0"; sleep "$2"
        - import urllib.request as r; r.urlopen(r.Request("http://127.0.0.1:{{ .ports.admin }}/drain", method="POST"), timeout=5)
        - {{ div $seconds 2 | quote }}
        - {{ sub $seconds (div $seconds 2) | quote }}
      {{- end }}
{{- end }}
{{- end -}}
