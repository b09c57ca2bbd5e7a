"""Settings of the routes: which requests go where, with which patience."""

from collections.abc import Container

from pydantic import Field, model_validator

from mesh.core.settings import Frozen

IMMICH_GIVES_UP_SECONDS = 300.0
"""Node's limit for the head of an answer. Photos of a starved machine may need all of it: Immich drops what fails."""


class RetrySettings(Frozen):
    """When a failed try is followed by another. Passing trouble (no endpoint, overload) is held and never counted."""

    max_retries: int = Field(1, ge=0, description="Further tries after an answer that is an internal error or broken.")
    backoff_base_ms: float = Field(
        25.0, gt=0, description="Upper end of the first random pause; doubles with every try."
    )
    backoff_max_ms: float = Field(5000.0, gt=0, description="Upper end of any random pause.")
    per_try_timeout_seconds: float | None = Field(
        None, gt=0, description="Time for one try; empty for the whole deadline."
    )


class WeightedCluster(Frozen):
    """One of the clusters a route splits its requests over."""

    cluster: str = Field(description="Name of the cluster.")
    weight: float = Field(1.0, ge=0, description="Share of the requests, relative to the others' weights.")


class MirrorSettings(Frozen):
    """A shadow cluster that gets copies of requests; its answers are compared and counted, never used."""

    cluster: str = Field(description="Name of the shadow cluster.")
    percent: float = Field(100.0, ge=0, le=100, description="Share of the requests that are copied.")
    max_concurrent: int = Field(8, ge=1, description="Copies under way at a time; more are left out.")


class RouteSettings(Frozen):
    """Which requests go where. Routes are tried from top to bottom, the default routes after those of the file."""

    task: str = Field("*", description="clip, facial-recognition, ocr, another task's name, or a pattern such as `*`.")
    type: str = Field("*", description="visual, textual, detection, recognition, or a pattern.")
    model: str = Field("*", description="Model name that the request asks for, or a pattern such as `ViT-*__openai`.")
    cluster: str = Field("", description="Name of the cluster; or `clusters`.")
    clusters: tuple[WeightedCluster, ...] = Field(
        (), description="Clusters by weight, e.g. a canary with 5 against 95."
    )
    served_model: str | None = Field(
        None, description="Model that answers; none for the one asked for, '' for the service's default."
    )
    timeout_seconds: float = Field(
        IMMICH_GIVES_UP_SECONDS - 15,
        gt=0,
        le=IMMICH_GIVES_UP_SECONDS - 10,
        description="Deadline, waiting included (Immich's Node gives up after 300).",
    )
    retry: RetrySettings = RetrySettings()
    hedge_ms: float | None = Field(
        None, gt=0, description="Send a second try when the first takes longer (text queries)."
    )
    mirror: MirrorSettings | None = Field(None, description="Shadow cluster.")
    fallback: str = Field("", description="http cluster of last resort, when the route's own stays down.")
    fallback_after_seconds: float = Field(60.0, ge=0, description="How long a request is held before the last resort.")

    @model_validator(mode="after")
    def _somewhere(self) -> "RouteSettings":
        if bool(self.cluster) == bool(self.clusters):
            raise ValueError("a route needs either `cluster` or `clusters`")
        if self.clusters and not any(choice.weight for choice in self.clusters):
            raise ValueError("at least one of `clusters` needs a weight above 0")
        return self

    @property
    def targets(self) -> tuple[WeightedCluster, ...]:
        """The clusters with their weights."""
        return self.clusters or (WeightedCluster(cluster=self.cluster, weight=1.0),)

    def served_by(self, present: Container[str]) -> "RouteSettings | None":
        """This route without the clusters that are not there; None when no target is left."""
        targets = tuple(target for target in self.targets if target.cluster in present and target.weight)
        if not targets:
            return None
        return self.model_copy(
            update={
                "clusters": tuple(target for target in self.clusters if target.cluster in present),
                "mirror": self.mirror if self.mirror and self.mirror.cluster in present else None,
                "fallback": self.fallback if self.fallback in present else "",
            }
        )
