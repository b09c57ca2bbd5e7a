{{/*
Combinations that cannot work are refused here, each with one sentence that says why and what to do. What is wrong by
itself (a type, an unknown key) values.schema.json refuses.
*/}}
{{- define "immich-mesh.checks" -}}
{{- $root := . -}}
{{- range $name := (include "immich-mesh.componentNames" . | fromYaml).items -}}
{{- $one := include "immich-mesh.component" (dict "root" $root "name" $name) | fromYaml -}}
{{- include "immich-mesh.checkGpu" $one -}}
{{- if and (include "immich-mesh.claimsCard" $one) (semverCompare "<1.34-0" $root.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "%s.gpu.sharing: dra needs Kubernetes 1.34 or newer, and this is %s; share by a device plugin" $name $root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- include "immich-mesh.checkScaling" (dict "root" $root "one" $one) -}}
{{- if and $one.grpc (ne $one.service.type "ClusterIP") -}}
{{- fail (printf "%s.service.type: %s cannot work: the router balances over the pods' own addresses, so the Service is headless; publish the router instead (router.service.type)" $name $one.service.type) -}}
{{- end -}}
{{- end -}}
{{- include "immich-mesh.checkTls" . -}}
{{- include "immich-mesh.checkModels" . -}}
{{- include "immich-mesh.checkPublishing" . -}}
{{- end -}}

{{- define "immich-mesh.checkGpu" -}}
{{- $gpu := .gpu -}}
{{- if and .grpc .device (ne $gpu.enabled (has .device (list "cuda" "openvino:GPU"))) -}}
{{- fail (printf "%s.device: %s and %s.gpu.enabled: %t contradict each other: cuda and openvino:GPU run on a GPU, the others do not" .name .device .name $gpu.enabled) -}}
{{- end -}}
{{- if and (eq .device "openvino:GPU") (ne $gpu.sharing "dra") (hasPrefix "nvidia.com/" $gpu.resourceName) (gt (int $gpu.count) 0) -}}
{{- fail (printf "%s.gpu.resourceName: %s is no GPU of Intel's; name what its device plugin offers, e.g. gpu.intel.com/i915" .name $gpu.resourceName) -}}
{{- end -}}
{{- if and $gpu.memoryLimit (eq .device "openvino:GPU") -}}
{{- fail (printf "%s.gpu.memoryLimit: bounds CUDA's arena; Intel's GPUs have none" .name) -}}
{{- end -}}
{{- if and $gpu.enabled (not .grpc) -}}
{{- fail (printf "%s.gpu.enabled: %s runs no model and has no use for a GPU; enable it for ocr, clip or face" .name .name) -}}
{{- end -}}
{{- if and $gpu.enabled (gt (int $gpu.count) 1) (ne $gpu.sharing "mps") -}}
{{- fail (printf "%s.gpu.count: a pod uses one card, so %d would leave %d idle; for more cards raise %s.replicaCount (only with sharing: mps a higher count means a larger share)" .name (int $gpu.count) (sub (int $gpu.count) 1) .name) -}}
{{- end -}}
{{- if and $gpu.enabled (eq $gpu.sharing "mig") (not (contains "/mig-" $gpu.resourceName)) -}}
{{- fail (printf "%s.gpu.resourceName: %s is no MIG slice; name one, e.g. nvidia.com/mig-1g.10gb, or choose another gpu.sharing" .name $gpu.resourceName) -}}
{{- end -}}
{{- if and $gpu.enabled (eq $gpu.sharing "dra") (ne (int $gpu.count) 1) -}}
{{- fail (printf "%s.gpu.count: %d counts what a device plugin offers; with sharing: dra a pod claims one card" .name (int $gpu.count)) -}}
{{- end -}}
{{- if and $gpu.enabled $gpu.dra.claimName (ne $gpu.sharing "dra") -}}
{{- fail (printf "%s.gpu.dra.claimName: is set while %s.gpu.sharing is %s" .name .name $gpu.sharing) -}}
{{- end -}}
{{- if and $gpu.enabled $gpu.dra.claimName (not $gpu.memoryLimit) (ne .device "openvino:GPU") -}}
{{- fail (printf "%s.gpu.memoryLimit: pods that share a card share its memory too; give each a limit, e.g. 2Gi" .name) -}}
{{- end -}}
{{- if and $gpu.enabled (eq (int $gpu.count) 0) (ne $gpu.sharing "time-slicing") -}}
{{- fail (printf "%s.gpu.count: 0 takes the card without asking the scheduler, so others share it: say gpu.sharing: time-slicing" .name) -}}
{{- end -}}
{{- if and $gpu.enabled (has $gpu.sharing (list "time-slicing" "mps")) (not $gpu.memoryLimit) (ne .device "openvino:GPU") -}}
{{- fail (printf "%s.gpu.memoryLimit: pods that share a card share its memory too; give each a limit, e.g. 2Gi" .name) -}}
{{- end -}}
{{- if and $gpu.memoryLimit (not $gpu.enabled) -}}
{{- fail (printf "%s.gpu.memoryLimit: is set while %s.gpu.enabled is false" .name .name) -}}
{{- end -}}
{{- end -}}

{{- define "immich-mesh.checkScaling" -}}
{{- $root := .root -}}
{{- with .one -}}
{{- $scaling := .autoscaling -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling: minReplicas %d is more than maxReplicas %d" .name (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and $scaling.enabled (not $scaling.keda.enabled) (not $scaling.targetCPUUtilizationPercentage) (not $scaling.targetOutstandingRequests) -}}
{{- fail (printf "%s.autoscaling: nothing to scale by; set targetCPUUtilizationPercentage or targetOutstandingRequests" .name) -}}
{{- end -}}
{{- if and $scaling.enabled $scaling.keda.enabled (not $scaling.targetCPUUtilizationPercentage) (not $scaling.targetOutstandingRequests) (not $scaling.keda.triggers) -}}
{{- fail (printf "%s.autoscaling: nothing to scale by; set targetCPUUtilizationPercentage, targetOutstandingRequests or keda.triggers" .name) -}}
{{- end -}}
{{- if and $scaling.enabled (eq (int $scaling.minReplicas) 0) (not (and .grpc $scaling.keda.enabled)) -}}
{{- fail (printf "%s.autoscaling.minReplicas: 0 is for ocr, clip and face with keda.enabled: nothing else hears of a request that waits for a pod" .name) -}}
{{- end -}}
{{- if and $scaling.enabled (eq (int $scaling.minReplicas) 0) (gt (int $scaling.targetCPUUtilizationPercentage) 0) -}}
{{- fail (printf "%s.autoscaling.targetCPUUtilizationPercentage: no pod has no CPU to go by: with minReplicas: 0 set this to 0 and targetOutstandingRequests" .name) -}}
{{- end -}}
{{- if and $scaling.enabled (eq (int $scaling.minReplicas) 0) (not $scaling.targetOutstandingRequests) -}}
{{- fail (printf "%s.autoscaling.targetOutstandingRequests: with minReplicas: 0 it is what wakes the first pod; say how many requests a pod shall have, e.g. 8" .name) -}}
{{- end -}}
{{- if and $scaling.targetOutstandingRequests $scaling.enabled (not (include "immich-mesh.callers" $root | fromYaml).items) -}}
{{- fail (printf "%s.autoscaling.targetOutstandingRequests: is what the routers know, and this release has none; scale by CPU or by keda.triggers" .name) -}}
{{- end -}}
{{- if and $scaling.keda.enabled (not $scaling.enabled) -}}
{{- fail (printf "%s.autoscaling.keda.enabled: needs %s.autoscaling.enabled too" .name .name) -}}
{{- end -}}
{{- if and $scaling.targetOutstandingRequests (not .grpc) -}}
{{- fail (printf "%s.autoscaling.targetOutstandingRequests: requests wait for ocr, clip and face alone; scale %s by CPU" .name .name) -}}
{{- end -}}
{{- if and $scaling.enabled $scaling.targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" .resources)) -}}
{{- fail (printf "%s.autoscaling.targetCPUUtilizationPercentage: is a percentage of resources.requests.cpu, which is not set" .name) -}}
{{- end -}}
{{- end -}}
{{- include "immich-mesh.checkBudget" . -}}
{{- end -}}

{{/* The least pods that a component has. */}}
{{- define "immich-mesh.leastPods" -}}
{{- ternary (int .autoscaling.minReplicas) (int .replicaCount) .autoscaling.enabled -}}
{{- end -}}

{{- define "immich-mesh.checkBudget" -}}
{{- $least := include "immich-mesh.leastPods" .one | int -}}
{{- if eq .one.name "router" -}}
{{- $second := include "immich-mesh.component" (dict "root" .root "name" "secondRouter") | fromYaml -}}
{{- if $second.installed -}}{{- $least = add $least (include "immich-mesh.leastPods" $second | int) -}}{{- end -}}
{{- else if eq .one.name "secondRouter" -}}
{{- if hasKey .root.Values.secondRouter "podDisruptionBudget" -}}
{{- fail "secondRouter.podDisruptionBudget: the routers have one together, router.podDisruptionBudget" -}}
{{- end -}}
{{- end -}}
{{- with .one -}}
{{- if and .podDisruptionBudget.enabled (ne .name "secondRouter") -}}
{{- $budget := toString .podDisruptionBudget.minAvailable -}}
{{- if or (eq $budget "100%") (and (regexMatch "^[0-9]+$" $budget) (ge (int $budget) $least)) -}}
{{- fail (printf "%s.podDisruptionBudget.minAvailable: %s of %d pods must stay, so no node could ever be drained; lower it or raise the replicas" .name $budget $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "immich-mesh.checkTls" -}}
{{- $tls := .Values.tls -}}
{{- if and $tls.enabled (not $tls.existingSecret) (not $tls.certManager.enabled) -}}
{{- fail "tls.enabled: where is the certificate? Set tls.existingSecret or tls.certManager.enabled" -}}
{{- end -}}
{{- if and $tls.existingSecret $tls.certManager.enabled -}}
{{- fail "tls.existingSecret and tls.certManager.enabled exclude each other: cert-manager would overwrite the Secret" -}}
{{- end -}}
{{- if and (or $tls.existingSecret $tls.certManager.enabled) (not $tls.enabled) -}}
{{- fail "tls.existingSecret or tls.certManager is set while tls.enabled is false: the connections would be plain text" -}}
{{- end -}}
{{- if and $tls.certManager.enabled (not $tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name: which Issuer shall sign the certificate?" -}}
{{- end -}}
{{- range (include "immich-mesh.installed" . | fromYaml).items -}}
{{- if .grpc -}}{{- include "immich-mesh.checkTlsStep" (dict "root" $ "one" .) -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/*
During a rollout pods of the release that runs speak with pods of this one. Where the two could not, the upgrade is refused
and nothing has changed yet; without a cluster to look at (`helm template`) nothing is known. Takes `root`, `one`.
*/}}
{{- define "immich-mesh.checkTlsStep" -}}
{{- $tls := .root.Values.tls -}}
{{- $running := lookup "apps/v1" "Deployment" .root.Release.Namespace .one.fullname -}}
{{- if $running -}}
{{- $variables := dict -}}
{{- range (first $running.spec.template.spec.containers).env -}}{{- $_ := set $variables .name "set" -}}{{- end -}}
{{- $was := dict "enabled" (hasKey $variables (printf "%s_TLS__CERT_FILE" .one.prefix)) "mutual" (hasKey $variables (printf "%s_TLS__CA_FILE" .one.prefix)) "permissive" (hasKey $variables (printf "%s_TLS__PERMISSIVE" .one.prefix)) -}}
{{- $permissive := and $tls.enabled (eq $tls.mode "permissive") -}}
{{- if and (ne $was.enabled $tls.enabled) (not (or $was.permissive $permissive)) -}}
{{- fail (printf "tls.enabled: %t at once would cut routers off from services while pods of both kinds run: upgrade with tls.enabled=true and tls.mode=permissive first, then with this" $tls.enabled) -}}
{{- end -}}
{{- if and $was.enabled $tls.enabled (ne $was.mutual $tls.mutual) (not (and $was.permissive $permissive)) -}}
{{- fail "tls.mutual: changes between two upgrades with tls.mode=permissive, or routers without a certificate meet services that demand one" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "immich-mesh.checkModels" -}}
{{- $models := .Values.models -}}
{{- $claim := eq $models.source "persistentVolumeClaim" -}}
{{- if and $models.persistence.existingClaim (not $claim) -}}
{{- fail (printf "models.persistence.existingClaim: is set while models.source is %s" $models.source) -}}
{{- end -}}
{{- if and $models.job.export (not (include "immich-mesh.component" (dict "root" . "name" "clip") | fromYaml).installed) -}}
{{- fail "models.job.export: converts CLIP's checkpoints, and clip is not installed" -}}
{{- end -}}
{{- if and $models.job.export $models.offline -}}
{{- fail "models.job.export: checkpoints are downloaded before they are converted, which models.offline forbids" -}}
{{- end -}}
{{- end -}}

{{- define "immich-mesh.checkPublishing" -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.externalClients) (not (contains "ipBlock" (toJson .Values.networkPolicy.clients))) -}}
{{- range (include "immich-mesh.installed" . | fromYaml).items -}}
{{- if and (has "immich-ml" .exposed) (ne .service.type "ClusterIP") -}}
{{- fail (printf "%s.service.type: %s would open a port that the NetworkPolicy closes: say in networkPolicy.externalClients which networks may call, e.g. [192.168.0.0/16]" .name .service.type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $door := include "immich-mesh.component" (dict "root" . "name" "frontDoor") | fromYaml -}}
{{- if and .Values.immich.apiKey.existingSecret (not .Values.immich.url) -}}
{{- fail "immich.apiKey.existingSecret: a key to which Immich? Set immich.url, e.g. http://immich-server:2283" -}}
{{- end -}}
{{- if and $door.installed (not .Values.immich.url) -}}
{{- fail "immich.url: the front door (installed because database.existingSecret is set) passes everything else on to Immich; where is it? E.g. http://immich-server:2283" -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.gateway.enabled) (not $door.installed) -}}
{{- fail "ingress.enabled and gateway.enabled publish the front door, which is not installed: set immich.url" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host: under which name do people open Immich?" -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) -}}
{{- fail "gateway.parentRefs: to which Gateway does the route belong?" -}}
{{- end -}}
{{- end -}}
