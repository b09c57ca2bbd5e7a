"""What the double of the API server serves: the kinds a chart may use, and in which cluster versions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """One kind as discovery announces it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    since: int = 0
    """Minor version of the cluster that has it first."""

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def custom(self) -> bool:
        """Whether the kind comes from a custom resource definition."""
        return ("." in self.group and not self.group.endswith(".k8s.io")) or self.group == "gateway.networking.k8s.io"


BUILT_IN = (
    Resource("", "v1", "ConfigMap", "configmaps"),
    Resource("", "v1", "Event", "events"),
    Resource("", "v1", "Namespace", "namespaces", namespaced=False),
    Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Resource("", "v1", "Pod", "pods"),
    Resource("", "v1", "Secret", "secrets"),
    Resource("", "v1", "Service", "services"),
    Resource("", "v1", "ServiceAccount", "serviceaccounts"),
    Resource("apps", "v1", "Deployment", "deployments"),
    Resource("apps", "v1", "ReplicaSet", "replicasets"),
    Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Resource("batch", "v1", "Job", "jobs"),
    Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Resource("networking.k8s.io", "v1", "Ingress", "ingresses"),
    Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Resource("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", since=34),
    Resource("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
)

CUSTOM = (
    Resource("cert-manager.io", "v1", "Certificate", "certificates"),
    Resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    Resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
    Resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    Resource("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
)


def find(resources: tuple[Resource, ...], group: str, version: str, plural: str) -> Resource | None:
    """The served resource at a path's group, version and plural, if there is one."""
    wanted = (group, version, plural)
    return next((one for one in resources if (one.group, one.version, one.plural) == wanted), None)


def group_list(resources: tuple[Resource, ...]) -> dict[str, object]:
    """The answer to `GET /apis`."""
    versions: dict[str, str] = {one.group: one.version for one in resources if one.group}
    groups = [
        {
            "name": group,
            "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
            "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
        }
        for group, version in versions.items()
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def resource_list(resources: tuple[Resource, ...], group: str, version: str) -> dict[str, object]:
    """The answer to `GET /api/v1` or `GET /apis/<group>/<version>`."""
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [
            {
                "name": one.plural,
                "singularName": one.kind.lower(),
                "namespaced": one.namespaced,
                "kind": one.kind,
                "verbs": verbs,
            }
            for one in resources
            if (one.group, one.version) == (group, version)
        ],
    }


def _root(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.api_version}"


def openapi_index(resources: tuple[Resource, ...]) -> dict[str, object]:
    """The answer to `GET /openapi/v3`."""
    return {"paths": {_root(one): {"serverRelativeURL": f"/openapi/v3/{_root(one)}"} for one in resources}}


def openapi(resources: tuple[Resource, ...], root: str) -> dict[str, object]:
    """The answer to `GET /openapi/v3/<root>`: every kind's PATCH takes `fieldValidation`.

    That is all that clients look for before they leave the validation of fields to the server, which is what is wanted.
    """
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    paths = {
        f"/{root}/namespaces/{{namespace}}/{one.plural}/{{name}}": {
            "patch": {
                "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-group-version-kind": {"group": one.group, "version": one.version, "kind": one.kind},
            }
        }
        for one in resources
        if _root(one) == root
    }
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "double"}, "paths": paths}
