"""Values that stretch the chart: everything switched on at once, and combinations that people come up with."""

from tests.helm.cluster.store import Object

_POD_KEYS: Object = {
    "image": {"tag": "9", "pullPolicy": "Always"},
    "resources": {
        "requests": {"cpu": "100m", "example.com/fpga": "1"},
        "limits": {"memory": "1Gi", "example.com/fpga": "1"},
    },
    "env": [{"name": "EXTRA", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
            }
        }
    },
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "high",
    "schedulerName": "theirs",
    "hostUsers": False,
    "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["proxy"]}],
    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    "deploymentAnnotations": {"i": "j"},
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "service": {"annotations": {"e": "f"}},
    "serviceAccount": {"annotations": {"g": "h"}},
    "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "extraContainers": [{"name": "sidecar", "image": "sidecar:1"}],
    "extraInitContainers": [{"name": "before", "image": "before:1"}],
    "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"},
    "autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
}

EVERYTHING: Object = {
    "commonLabels": {"team": "photos"},
    "image": {"registry": "registry.example.com/photos", "pullSecrets": [{"name": "pull"}]},
    "tracing": {"otlpEndpoint": "http://otel:4317"},
    "auth": {"existingSecret": "token"},
    "tls": {"enabled": True, "certManager": {"enabled": True, "issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}},
    "immich": {"url": "http://immich-server:2283"},
    "database": {"existingSecret": "immich-database"},
    "models": {
        "hubToken": {"existingSecret": "hub"},
        "persistence": {"accessModes": ["ReadWriteMany"]},
        "job": {
            "export": ["cn-clip/RN50"],
            "extraModels": ["buffalo_s"],
            "annotations": {"k": "l"},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        },
    },
    "defaults": _POD_KEYS,
    "global": {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["shared", {"name": "pull"}]},
    "commonAnnotations": {"owner": "photos"},
    "networkPolicy": {
        "externalClients": ["192.168.0.0/16", "fd00::/8"],
        "egress": {"extra": [{"to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ports": [{"port": 3128}]}]},
    },
    "router": {"service": {"type": "NodePort", "nodePort": 30303}, "config": {"access_log": False}},
    "ocr": {"gpu": {"enabled": True}, "config": {"batching": {"max_batch_size": 16}}},
    "clip": {
        "gpu": {
            "enabled": True,
            "runtimeClassName": "nvidia",
            "resourceName": "nvidia.com/gpu.shared",
            "count": 2,
            "sharing": "mps",
            "memoryLimit": "2Gi",
        },
        "autoscaling": {
            "targetOutstandingRequests": 8,
            "keda": {
                "enabled": True,
                "triggers": [
                    {
                        "type": "cron",
                        "metadata": {
                            "timezone": "UTC",
                            "start": "0 1 * * *",
                            "end": "0 5 * * *",
                            "desiredReplicas": "3",
                        },
                    }
                ],
            },
        },
    },
    "face": {
        "autoscaling": {"targetOutstandingRequests": 4},
        "gpu": {"enabled": True, "sharing": "mig", "resourceName": "nvidia.com/mig-1g.10gb"},
    },
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "photos.example.com",
        "annotations": {"a": "b"},
        "tls": [{"hosts": ["photos.example.com"], "secretName": "tls"}],
        "immich": {"serviceName": "immich-server"},
    },
    "gateway": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["photos.example.com"],
        "immich": {"serviceName": "immich-server", "serviceNamespace": "immich"},
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}, "alertLabels": {"team": "photos"}},
        "dashboard": {"enabled": True, "annotations": {"grafana_folder": "Immich"}},
    },
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}, "data": {"a": "b"}}
    ],
}
"""Every object that the chart can write, and every list that it passes on, filled."""

ODD_VALUES: dict[str, Object] = {
    "nothing but the router": {"ocr": {"enabled": False}, "clip": {"enabled": False}, "face": {"enabled": False}},
    "only text recognition": {"router": {"enabled": False}, "clip": {"enabled": False}, "face": {"enabled": False}},
    "a very long name": {"fullnameOverride": "a-name-that-goes-on-and-on-and-on-until-nobody-reads-it-any-more-at-all"},
    "another name": {"nameOverride": "ml"},
    "existing claim": {"models": {"persistence": {"existingClaim": "immich-ml-cache"}}},
    "models of each pod's own": {"models": {"source": "emptyDir"}},
    "models of each pod's own, without limit": {"models": {"source": "emptyDir", "emptyDirSizeLimit": ""}},
    "models in the image": {"models": {"source": "image"}},
    "offline": {"models": {"offline": True}},
    "no job": {"models": {"job": {"enabled": False}}},
    "no service accounts": {"defaults": {"serviceAccount": {"create": False}}},
    "their service account": {"ocr": {"serviceAccount": {"create": False, "name": "theirs"}}},
    "every card of the node": {
        "ocr": {"gpu": {"enabled": True, "count": 0, "sharing": "time-slicing", "memoryLimit": "1G"}}
    },
    "a number of replicas that others set": {
        "defaults": {"replicaCount": None},
        "router": {"replicaCount": None},
    },
    "Intel's GPU": {
        "ocr": {"device": "openvino:GPU", "gpu": {"enabled": True, "resourceName": "gpu.intel.com/i915"}},
    },
    "models of many nodes": {"models": {"persistence": {"accessModes": ["ReadWriteMany"]}}},
    "no limits of egress": {"networkPolicy": {"egress": {"enabled": False}}},
    "a published router": {
        "router": {"service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a/b"}},
        "defaults": {"service": {"ipFamilyPolicy": "PreferDualStack"}},
        "networkPolicy": {"externalClients": ["192.168.0.0/16"]},
    },
    "no replicas": {"ocr": {"replicaCount": 0}},
    "digest": {"ocr": {"image": {"digest": f"sha256:{'a' * 64}"}}},
    "large numbers": {"ocr": {"config": {"memory_budget_bytes": 8_589_934_592, "max_image_pixels": 178_956_970}}},
    "their strategy": {"clip": {"strategy": {"type": "Recreate"}}},
    "IPv6": {"listenAddress": "::"},
    "TLS of a secret": {"tls": {"enabled": True, "existingSecret": "mesh-tls", "mutual": False}},
    "TLS for some, for now": {"tls": {"enabled": True, "existingSecret": "mesh-tls", "mode": "permissive"}},
    "TLS that is permissive and one-sided": {
        "tls": {"enabled": True, "existingSecret": "mesh-tls", "mode": "permissive", "mutual": False}
    },
    "watched EndpointSlices": {"discovery": "endpointSlices", "immich": {"url": "http://immich:2283"}},
    "an administrator's key": {"immich": {"url": "http://immich:2283", "apiKey": {"existingSecret": "admin"}}},
    "no network policies": {"networkPolicy": {"enabled": False}},
    "nobody may read metrics": {"networkPolicy": {"metrics": []}},
    "only the changed paths": {
        "immich": {"url": "http://immich:2283"},
        "ingress": {"enabled": True, "host": "a.example"},
    },
    "a variable of theirs": {"ocr": {"env": [{"name": "OCR_LOG_LEVEL", "value": "DEBUG"}]}},
    "probes": {"ocr": {"probes": {"startup": {"failureThreshold": 1}, "liveness": {"periodSeconds": 1}}}},
    "min available": {"router": {"podDisruptionBudget": {"minAvailable": 1}}},
    "no grace": {"defaults": {"termination": {"preStopSeconds": 0, "drainSeconds": 0}}},
}
"""Each is installed, and admitted whole."""
