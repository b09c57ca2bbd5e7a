"""The part of a cluster that makes objects come true: gives them the status that Helm waits for."""

from collections.abc import Callable

from tests.helm.cluster.store import CREATED, Key, Object, Store


def deployment_status(found: Object) -> Object:
    """A Deployment all of whose replicas run the newest template."""
    replicas = found["spec"].get("replicas", 1)
    return {
        "observedGeneration": found["metadata"]["generation"],
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [
            _condition("Available", "MinimumReplicasAvailable"),
            _condition("Progressing", "NewReplicaSetAvailable"),
        ],
    }


def finished_job(succeeded: bool = True) -> Object:
    """A Job whose only pod ended."""
    done = {"succeeded": 1} if succeeded else {"failed": 1}
    return {
        **done,
        "startTime": CREATED,
        "conditions": [
            _condition(
                "Complete" if succeeded else "Failed", "CompletionsReached" if succeeded else "BackoffLimitExceeded"
            )
        ],
    }


def finished_pod(succeeded: bool = True) -> Object:
    """A Pod whose containers ended."""
    return {"phase": "Succeeded" if succeeded else "Failed", "conditions": [_condition("Initialized", "PodCompleted")]}


def _condition(name: str, reason: str) -> Object:
    return {"type": name, "status": "True", "reason": reason, "message": reason, "lastTransitionTime": CREATED}


STATUS: dict[str, Callable[[Object], Object]] = {
    "Deployment": deployment_status,
    "Job": lambda _: finished_job(),
    "PersistentVolumeClaim": lambda found: {"phase": "Bound", "accessModes": found["spec"]["accessModes"]},
    "Pod": lambda _: finished_pod(),
    "PodDisruptionBudget": lambda found: {
        "observedGeneration": found["metadata"]["generation"],
        "currentHealthy": 1,
        "desiredHealthy": 1,
        "disruptionsAllowed": 1,
        "expectedPods": 1,
    },
    "Certificate": lambda _: {"conditions": [_condition("Ready", "Ready")]},
}


class Controllers:
    """Sets statuses as soon as an object changes; `executors` take over for kinds that a test really runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.executors: dict[str, Callable[[Key, Object], None]] = {}
        store.on_change.append(self._changed)

    def _changed(self, key: Key, new: Object) -> None:
        kind = key[0].kind
        if kind in self.executors:
            self.executors[kind](key, new)
        elif kind in STATUS:
            self._store.set_status(key, STATUS[kind](new))
