{{/* Name of the claim that model files are on. */}}
{{- define "immich-mesh.claimName" -}}
{{- default (printf "%s-models" (include "immich-mesh.fullname" .)) .Values.models.persistence.existingClaim -}}
{{- end -}}

{{/* Models inside the image of the OCR service: there is nothing to fetch. */}}
{{- define "immich-mesh.bundledModels" -}}
items: [PP-OCRv6_small, PP-OCRv4_mobile, PP-OCRv4]
{{- end -}}

{{/* Every model that the installed services are configured to use and that must be fetched, as a YAML list `items`. */}}
{{- define "immich-mesh.modelNames" -}}
{{- $bundled := (include "immich-mesh.bundledModels" . | fromYaml).items -}}
{{- $names := list -}}
{{- range $one := (include "immich-mesh.installed" . | fromYaml).items -}}
{{- if $one.grpc -}}
{{- with $one.config.model_name -}}{{- $names = append $names . -}}{{- end -}}
{{- with $one.config.preload -}}{{- $names = concat $names . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $wanted := list -}}
{{- range concat $names .Values.models.job.extraModels | uniq -}}
{{- if not (has . $bundled) -}}{{- $wanted = append $wanted . -}}{{- end -}}
{{- end -}}
{{- dict "items" $wanted | toYaml -}}
{{- end -}}

{{/* What the containers of the models' Job have in common. */}}
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
image: {{ include "immich-mesh.image" (dict "root" $ "image" .Values.cli.image "cuda" false) }}
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
resources:
  requests: {cpu: 50m, memory: 128Mi}
  limits: {memory: 512Mi}
securityContext:
  {{- toYaml .Values.defaults.securityContext | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- end -}}
