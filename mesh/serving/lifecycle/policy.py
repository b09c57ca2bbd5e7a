"""When models leave memory, as a service's settings say."""

from dataclasses import dataclass

from mesh.core.settings import ServiceSettings


@dataclass(frozen=True)
class LifecyclePolicy:
    """When models leave memory.

    Attributes:
        default: the model that answers when a request names none.
        ttl_seconds: idle time after which a part leaves; 0 for never.
        memory_budget_bytes: most memory of all loaded parts; 0 for no limit.
    """

    default: str
    ttl_seconds: float = 300.0
    memory_budget_bytes: int = 0

    @classmethod
    def of(cls, settings: ServiceSettings) -> "LifecyclePolicy":
        """From a service's settings."""
        return cls(settings.model_name, settings.model_ttl_seconds, settings.memory_budget_bytes)
