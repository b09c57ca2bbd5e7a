"""EndpointSlices as the API server sends them, and which of their addresses requests may go to."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field

from router.upstream.endpoints.address import Address


class SliceConditions(BaseModel):
    """What is known of a pod; absent means unknown, which for `ready` counts as yes."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(BaseModel):
    """One pod."""

    addresses: list[str]
    conditions: SliceConditions | None = None
    zone: str | None = None


class ObjectMetadata(BaseModel):
    """Which object, and which state of it."""

    name: str = ""
    version: str = Field("", alias="resourceVersion")


class EndpointSlice(BaseModel):
    """Some pods of a Service."""

    metadata: ObjectMetadata
    endpoints: list[SliceEndpoint] | None = None


class EndpointSliceList(BaseModel):
    """All slices of a Service."""

    metadata: ObjectMetadata
    items: list[EndpointSlice]


class WatchProblem(BaseModel):
    """The `Status` that a watch ends with."""

    code: int = 0
    message: str = ""


class WatchEvent(BaseModel):
    """One line of a watch. `object` is a slice, or for ERROR a status."""

    type: str
    object: dict[str, Any]


def addresses_of(slices: Iterable[EndpointSlice], port: int, server_name: str) -> list[Address]:
    """Where requests may go: pods that are ready; without any, those that end but still serve (KEP-1672).

    Args:
        slices: of one Service.
        port: of its pods.
        server_name: what the pods' certificate is valid for.
    """
    ready: dict[str, Address] = {}
    ending: dict[str, Address] = {}
    for endpoint in (endpoint for one in slices for endpoint in one.endpoints or ()):
        conditions = endpoint.conditions or SliceConditions()
        for host in endpoint.addresses:
            target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            address = Address(target, server_name, endpoint.zone or "")
            if conditions.ready is not False:
                ready[target] = address
            elif conditions.terminating and conditions.serving:
                ending[target] = address
    return sorted((ready or ending).values(), key=lambda address: address.target)
