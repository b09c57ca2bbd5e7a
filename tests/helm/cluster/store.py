"""The objects of the API server's double, their versions and the watches on them."""

import asyncio
import copy
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.helm.cluster.resources import Resource

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

Key = tuple[Resource, str, str]
"""Resource, namespace and name of an object."""

CREATED = "2026-01-01T00:00:00Z"


@dataclass(eq=False)
class Watch:
    """One open watch: events are queued until its connection has sent them."""

    resource: Resource
    namespace: str
    events: asyncio.Queue[Object] = field(default_factory=asyncio.Queue)

    def covers(self, key: Key) -> bool:
        """Whether it tells of this object."""
        return self.resource == key[0] and self.namespace in ("", key[1])


class Store:
    """Keeps objects and numbers their changes. Used from the server's event loop only."""

    def __init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._versions = itertools.count(1)
        self.version = 0
        self._watches: set[Watch] = set()
        self._history: list[tuple[int, Key, Object]] = []
        self.on_change: list[Callable[[Key, Object], None]] = []

    def get(self, key: Key) -> Object | None:
        """A copy of one object."""
        return copy.deepcopy(self._objects.get(key))

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Copies of all objects of a resource, of one namespace or of all."""
        return [
            copy.deepcopy(found)
            for (of, space, _), found in self._objects.items()
            if of == resource and namespace in ("", space)
        ]

    def everything(self) -> "list[Object]":
        """All objects, to be read only."""
        return [*self._objects.values()]

    def put(self, key: Key, new: Object) -> Object:
        """Creates or replaces an object; gives it its uid, generation and version."""
        resource, namespace, name = key
        old = self._objects.get(key)
        meta = new.setdefault("metadata", {})
        meta["name"] = name
        if resource.namespaced:
            meta["namespace"] = namespace
        old_meta: Object = old["metadata"] if old else {}
        meta["uid"] = old_meta.get("uid") or str(uuid.uuid4())
        meta["creationTimestamp"] = CREATED
        changed = old is None or old.get("spec") != new.get("spec")
        meta["generation"] = old_meta.get("generation", 0) + (1 if changed else 0)
        if old and "status" in old and "status" not in new:
            new["status"] = old["status"]
        meta["resourceVersion"] = self._next_version()
        self._objects[key] = copy.deepcopy(new)
        self._tell("ADDED" if old is None else "MODIFIED", key, new)
        for listener in self.on_change:
            listener(key, copy.deepcopy(new))
        return copy.deepcopy(self._objects[key])

    def set_status(self, key: Key, status: Object) -> None:
        """Replaces an object's status, without a new generation."""
        found = self._objects[key]
        found["status"] = status
        found["metadata"]["resourceVersion"] = self._next_version()
        self._tell("MODIFIED", key, found)

    def delete(self, key: Key) -> Object | None:
        """Removes an object at once; the double has no finalizers."""
        found = self._objects.pop(key, None)
        if found is not None:
            found["metadata"]["resourceVersion"] = self._next_version()
            self._tell("DELETED", key, found)
        return found

    def clear(self) -> None:
        """Removes everything."""
        for key in list(self._objects):
            self.delete(key)

    def watch(self, resource: Resource, namespace: str, since: int | None) -> Watch:
        """Opens a watch; close it with `unwatch`.

        Args:
            resource: what to watch.
            namespace: where; empty for everywhere.
            since: events after this version are replayed first. None: the present objects come first, then a bookmark
                that says so (Kubernetes calls it WatchList).
        """
        watch = Watch(resource, namespace)
        if since is None:
            for found in self.list(resource, namespace):
                watch.events.put_nowait({"type": "ADDED", "object": found})
            watch.events.put_nowait(self._bookmark(resource))
        else:
            for version, key, event in self._history:
                if version > since and watch.covers(key):
                    watch.events.put_nowait(event)
        self._watches.add(watch)
        return watch

    def _bookmark(self, resource: Resource) -> Object:
        meta = {"resourceVersion": str(self.version), "annotations": {"k8s.io/initial-events-end": "true"}}
        return {
            "type": "BOOKMARK",
            "object": {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta},
        }

    def unwatch(self, watch: Watch) -> None:
        """Ends a watch."""
        self._watches.discard(watch)

    def _next_version(self) -> str:
        self.version = next(self._versions)
        return str(self.version)

    def _tell(self, what: str, key: Key, changed: Object) -> None:
        event = {"type": what, "object": copy.deepcopy(changed)}
        self._history.append((self.version, key, event))
        for watch in self._watches:
            if watch.covers(key):
                watch.events.put_nowait(event)
