"""The router's settings: listeners, routes and clusters, from one YAML file, the environment, or the defaults alone.

Built once by `router.config.file.load`; frozen; handed down. Environment beats file, file beats default. A field is
`ROUTER_<FIELD>`, nested by `__`: `ROUTER_LISTENERS__IMMICH_ML__PORT`, `ROUTER_CLUSTERS__CLIP__BALANCER`.
"""

from router.config.clusters import (
    Balancer,
    CircuitBreakerSettings,
    ClusterSettings,
    HealthCheckSettings,
    OutlierSettings,
    Protocol,
    QuarantineSettings,
    RetryBudgetSettings,
)
from router.config.listeners import (
    PRIVATE_NETWORKS,
    AdminListener,
    BufferingListenerSettings,
    FrontDoorListener,
    ImmichMlListener,
    ListenerSettings,
    ListenersSettings,
    MtPhotosListener,
    Network,
)
from router.config.routes import MirrorSettings, RetrySettings, RouteSettings, WeightedCluster
from router.config.settings import DEFAULT_CONFIG_VARIABLE, AliasedNames, RouterSettings, config_path

__all__ = [
    "DEFAULT_CONFIG_VARIABLE",
    "PRIVATE_NETWORKS",
    "AdminListener",
    "AliasedNames",
    "Balancer",
    "BufferingListenerSettings",
    "CircuitBreakerSettings",
    "ClusterSettings",
    "FrontDoorListener",
    "HealthCheckSettings",
    "ImmichMlListener",
    "ListenerSettings",
    "ListenersSettings",
    "MirrorSettings",
    "MtPhotosListener",
    "Network",
    "OutlierSettings",
    "Protocol",
    "QuarantineSettings",
    "RetryBudgetSettings",
    "RetrySettings",
    "RouteSettings",
    "RouterSettings",
    "WeightedCluster",
    "config_path",
]
