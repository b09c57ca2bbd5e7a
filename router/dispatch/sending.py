"""One call of one task to one cluster: the innermost step of dispatch, which the policies wrap.

fallback ▸ mirror ▸ hedge ▸ send: each is a function from a `TaskCall` to its result, and calls the next.
"""

from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from typing import Any

from mesh.core.errors import InvalidInputError
from router.config import Protocol
from router.dispatch.routes import Destination
from router.dispatch.wire.forwarding import forwarded
from router.domain.requests import Content, PredictRequest
from router.domain.results import Result
from router.domain.tasks import (
    ClipTextual,
    ClipVisual,
    FaceRecognition,
    ForeignTask,
    Lane,
    Task,
    TextRecognition,
    needs_text,
)
from router.upstream.clients import CallContext, ClipClient, FaceClient, OcrClient
from router.upstream.cluster import Cluster
from router.upstream.http_cluster import NativeClient


@dataclass(frozen=True, slots=True)
class TaskCall:
    """One task of a request on its way to one destination.

    Attributes:
        task, request, content: what is asked, and the task's payload.
        destination: where it goes.
        context: deadline, retry policy and the rest that the cluster needs to know.
    """

    task: Task
    request: PredictRequest
    content: Content
    destination: Destination
    context: CallContext

    @property
    def key(self) -> Hashable:
        """Equal for calls with the same answer, given equal payloads: the dialect and the name asked for change how an
        answer is worded, not the answer.
        """
        asked = replace(self.task, model_name="")
        return self.destination.cluster, self.destination.served_model, self.request.passed_on, asked

    def at(self, cluster: str) -> "TaskCall":
        """The same call at another cluster."""
        return replace(self, destination=replace(self.destination, cluster=cluster))

    def with_context(self, **changes: Any) -> "TaskCall":
        """The same call with another context."""
        return replace(self, context=replace(self.context, **changes))


Send = Callable[[TaskCall], Coroutine[Any, Any, Result]]
"""A way to get a call's result: the sender itself, or a policy around it."""


def sender(cluster_of: Callable[[str], Cluster]) -> Send:
    """The function that sends a call to its cluster.

    Args:
        cluster_of: finds a cluster by name; raises ClusterRemovedError.
    """

    def send(call: TaskCall) -> Coroutine[Any, Any, Result]:
        cluster = cluster_of(call.destination.cluster)
        if cluster.settings.protocol is Protocol.HTTP:
            return _send_native(cluster, call)
        return _send_grpc(cluster, call)

    return send


def _send_grpc(cluster: Cluster, call: TaskCall) -> Coroutine[Any, Any, Result]:
    task, content, context = call.task, call.content, call.context
    model, dimension = call.destination.served_model, call.destination.served_dimension
    match task:
        case ClipVisual():
            return ClipClient(cluster).encode_image(content, model, dimension, context)
        case ClipTextual():
            return ClipClient(cluster).encode_text(content, model, task.language, dimension, context)
        case FaceRecognition():
            return FaceClient(cluster).detect(content, task, model, dimension, context)
        case TextRecognition():
            return OcrClient(cluster).recognize(content, task, model, context)
        case ForeignTask():
            raise AssertionError("routes send foreign tasks to http clusters only")


def _send_native(cluster: Cluster, call: TaskCall) -> Coroutine[Any, Any, Result]:
    """Raises InvalidInputError: the request has been passed on already."""
    if call.request.passed_on:
        raise InvalidInputError(
            f"cluster {cluster.name} leads back to this router: set ROUTER_IMMICH_API to another server"
        )
    lane = Lane.TEXT if needs_text(call.task) else Lane.IMAGE
    return NativeClient(cluster).predict(forwarded(call.request, call.task), call.content, lane, call.context)
