{{/* The calls that the front door changes; everything else is Immich's own. YAML list `items` of `path`, `type`. */}}
{{- define "immich-mesh.changedPaths" -}}
items:
  - {path: /api/search/smart, type: Exact}
  - {path: /api/search/metadata, type: Exact}
  - {path: /api/search/ocr, type: Exact}
  - {path: /api/assets/jobs, type: Exact}
  - {path: /mesh, type: Prefix}
{{- end -}}
