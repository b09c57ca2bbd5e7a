{{/* Name of the claim that model files are on. */}}
{{- define "immich-mesh.claimName" -}}
{{- default (printf "%s-models" (include "immich-mesh.fullname" .)) .Values.models.persistence.existingClaim -}}
{{- end -}}

{{/* Models inside the image of the OCR service: there is nothing to fetch. */}}
{{- define "immich-mesh.bundledModels" -}}
items: [PP-OCRv6_small, PP-OCRv4_mobile, PP-OCRv4]
{{- end -}}

{{/* Whether the chart fetches models, and whether pods on several nodes share them: "true" or nothing. */}}
{{- define "immich-mesh.fetchesModels" -}}
{{- with .Values.models -}}
{{- if and .job.enabled (eq .source "persistentVolumeClaim") (not .offline) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "immich-mesh.sharesModels" -}}
{{- if has "ReadWriteMany" .Values.models.persistence.accessModes -}}true{{- end -}}
{{- end -}}

{{/*
The models that one component is configured to use and that must be fetched, as a YAML list `items`. Those that nobody is
configured to use (`models.job.extraModels`) count as CLIP's, or as the first service's where that is off. Takes `root`, `one`.
*/}}
{{- define "immich-mesh.modelNames" -}}
{{- $bundled := (include "immich-mesh.bundledModels" .root | fromYaml).items -}}
{{- $names := list -}}
{{- with .one.config.model_name -}}{{- $names = append $names . -}}{{- end -}}
{{- with .one.config.preload -}}{{- $names = concat $names . -}}{{- end -}}
{{- $services := list -}}
{{- range (include "immich-mesh.installed" .root | fromYaml).items -}}
{{- if .grpc -}}{{- $services = append $services .name -}}{{- end -}}
{{- end -}}
{{- if eq .one.name (has "clip" $services | ternary "clip" (first $services)) -}}
{{- $names = concat $names .root.Values.models.job.extraModels -}}
{{- end -}}
{{- $wanted := list -}}
{{- range $names | uniq -}}
{{- if not (has . $bundled) -}}{{- $wanted = append $wanted . -}}{{- end -}}
{{- end -}}
{{- dict "items" $wanted | toYaml -}}
{{- end -}}

{{/*
The init containers of a service's pod that bring its models to where the pod is, as a YAML list `items`: a volume that one
node alone can mount is then made beside its consumer. What is there is not fetched again, a download that was cut goes on,
and the cache's lock lets one process fetch at a time. Takes `root`, `one`.
*/}}
{{- define "immich-mesh.modelContainers" -}}
items:
{{- if and .one.grpc (include "immich-mesh.fetchesModels" .root) }}
  {{- $root := .root }}
  {{- if eq .one.name "clip" }}
  {{- range $index, $name := $root.Values.models.job.export }}
  - name: export-{{ $index }}
    {{- include "immich-mesh.exportContainer" (dict "root" $root "checkpoint" $name) | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with (include "immich-mesh.modelNames" . | fromYaml).items }}
  - name: models
    {{- include "immich-mesh.pullContainer" (dict "root" $root "models" . "one" $.one) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Converts a checkpoint that is not converted yet. Takes `root`, `checkpoint`. */}}
{{- define "immich-mesh.exportContainer" -}}
{{- $image := .root.Values.models.job.exportImage -}}
image: {{ include "immich-mesh.image" (dict "root" .root "image" $image "variant" "") }}
imagePullPolicy: {{ include "immich-mesh.pullPolicy" (dict "root" .root "image" $image) }}
args:
  - sh
  - -c
  - test -e "$MESH_CACHE_FOLDER/clip/$1/visual/model.onnx" -a -e "$MESH_CACHE_FOLDER/clip/$1/textual/model.onnx" || exec immich-mesh models export "$0"
  - {{ .checkpoint }}
  - {{ trimPrefix "cn-clip/" .checkpoint }}__cn-clip
{{ include "immich-mesh.modelsContainer" .root }}
{{- end -}}

{{/*
Fetches models, in the image of the service that runs them: the node needs it anyway, and it has what some are converted
with. Takes `root`, `models`, `one`.
*/}}
{{- define "immich-mesh.pullContainer" -}}
image: {{ include "immich-mesh.image" (dict "root" .root "image" .one.image "variant" (include "immich-mesh.variant" .one)) }}
imagePullPolicy: {{ include "immich-mesh.pullPolicy" (dict "root" .root "image" .one.image) }}
args:
  - sh
  - -c
  - set -e; for name; do immich-mesh models pull "$name"; done
  - pull
  {{- toYaml .models | nindent 2 }}
{{ include "immich-mesh.modelsContainer" .root }}
{{- end -}}

{{/*
A Job's name ends in a hash of what it does: a change makes a new Job, since a Job's template cannot change, and the same
twice is the same Job, for `helm template` and GitOps tools too. Takes `root`, `name`, `spec`.
*/}}
{{- define "immich-mesh.jobName" -}}
{{- printf "%s-%s-%s" (include "immich-mesh.fullname" .root) .name (.spec | sha256sum | trunc 8) -}}
{{- end -}}

{{/*
Annotations of a Job: Argo CD runs it in each sync and does not miss it when it has gone. Takes `root`, `annotations`.
*/}}
{{- define "immich-mesh.jobAnnotations" -}}
{{- $argo := dict "argocd.argoproj.io/hook" "Sync" "argocd.argoproj.io/hook-delete-policy" "BeforeHookCreation" -}}
{{- include "immich-mesh.annotations" (dict "root" .root "annotations" (mergeOverwrite $argo .annotations)) -}}
{{- end -}}

{{/* What the containers that fetch and convert models have in common. */}}
{{- define "immich-mesh.modelsContainer" -}}
env:
  - name: HOME
    value: /tmp
  {{- range $name, $value := include "immich-mesh.noReports" . | fromYaml }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  - name: HF_ENDPOINT
    value: {{ .Values.models.hubEndpoint | quote }}
  - name: MESH_CACHE_FOLDER
    value: {{ .Values.models.mountPath }}
  {{- include "immich-mesh.hubToken" . | nindent 2 }}
  {{- with .Values.models.job.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.models.job.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.defaults.securityContext | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: models
    mountPath: {{ .Values.models.mountPath }}
{{- end -}}

{{/* What the containers of the database's Job have in common. */}}
{{- define "immich-mesh.databaseContainer" -}}
image: {{ include "immich-mesh.image" (dict "root" $ "image" .Values.cli.image "variant" "") }}
imagePullPolicy: {{ include "immich-mesh.pullPolicy" (dict "root" $ "image" .Values.cli.image) }}
env:
  - name: HOME
    value: /tmp
  {{- range $name, $value := include "immich-mesh.noReports" . | fromYaml }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  - name: MESH_DATABASE_URL
    valueFrom:
      secretKeyRef:
        name: {{ default .Values.database.existingSecret .Values.database.migrate.existingSecret }}
        key: {{ ternary .Values.database.migrate.key .Values.database.key (ne .Values.database.migrate.existingSecret "") }}
  {{- with .Values.database.migrate.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  requests: {cpu: 50m, memory: 128Mi}
  limits: {memory: 512Mi}
securityContext:
  {{- toYaml .Values.defaults.securityContext | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- end -}}


{{/* `spec` of the models' Job, in CLIP's image where that is installed. Takes `root`, `models`. */}}
{{- define "immich-mesh.modelsJob" -}}
{{- $root := .root -}}
{{- $one := dict -}}
{{- range (include "immich-mesh.installed" $root | fromYaml).items -}}
{{- if and .grpc (or (not $one) (eq .name "clip")) -}}{{- $one = . -}}{{- end -}}
{{- end -}}
{{- $pod := $root.Values.defaults -}}
{{- with $root.Values.models.job -}}
backoffLimit: {{ .backoffLimit }}
activeDeadlineSeconds: {{ .activeDeadlineSeconds }}
ttlSecondsAfterFinished: {{ .ttlSecondsAfterFinished }}
template:
  {{- include "immich-mesh.jobPodMetadata" (dict "root" $root "component" "models") | nindent 2 }}
  spec:
    {{- include "immich-mesh.jobPod" (dict "root" $root "nodeSelector" (default $pod.nodeSelector .nodeSelector) "tolerations" (default $pod.tolerations .tolerations)) | nindent 4 }}
    containers:
      - name: pull
        {{- include "immich-mesh.pullContainer" (dict "root" $root "models" $.models "one" $one) | nindent 8 }}
    volumes:
      - name: tmp
        emptyDir: {}
      - name: models
        persistentVolumeClaim:
          claimName: {{ include "immich-mesh.claimName" $root }}
{{- end -}}
{{- end -}}

{{/* `spec` of the database's Job. Takes `root`. */}}
{{- define "immich-mesh.databaseJob" -}}
{{- $root := .root -}}
{{- $pod := $root.Values.defaults -}}
{{- with $root.Values.database.migrate -}}
backoffLimit: 6
ttlSecondsAfterFinished: {{ .ttlSecondsAfterFinished }}
template:
  {{- include "immich-mesh.jobPodMetadata" (dict "root" $root "component" "database") | nindent 2 }}
  spec:
    {{- include "immich-mesh.jobPod" (dict "root" $root "nodeSelector" $pod.nodeSelector "tolerations" $pod.tolerations) | nindent 4 }}
    initContainers:
      - name: migrate
        args: [immich-mesh, db, migrate{{ with .grantTo }}, --grant, {{ . }}, --refresh{{ end }}]
        {{- include "immich-mesh.databaseContainer" $root | nindent 8 }}
    containers:
      - name: backfill
        args: [immich-mesh, db, backfill]
        {{- include "immich-mesh.databaseContainer" $root | nindent 8 }}
    volumes:
      - name: tmp
        emptyDir: {}
{{- end -}}
{{- end -}}

{{/* What the pods of both Jobs have in common. */}}
{{- define "immich-mesh.jobPodMetadata" -}}
metadata:
  labels:
    {{- include "immich-mesh.selectorLabels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Takes `root`, `nodeSelector`, `tolerations`. */}}
{{- define "immich-mesh.jobPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "immich-mesh.pullSecrets" .root }}
securityContext:
  {{- toYaml .root.Values.defaults.podSecurityContext | nindent 2 }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.defaults.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
