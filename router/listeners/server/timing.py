"""Where the time of a prediction went, as the header `Server-Timing`, for whoever asks (`mesh.core.stages`)."""

from router.domain.requests import PredictRequest

HEADER = "Server-Timing"


def stages_of(request: PredictRequest, began: float, ended: float) -> dict[str, float]:
    """The stages of an answered request in seconds, by their slowest task. They add up to the whole.

    `upload` until the body had come, `wait` for an endpoint, what the service told of itself and `network` for the rest
    of its time (`service` for all of it where it told nothing), `router` for what is left (`shared` where that was
    mostly another request's call for the same answer).

    Args:
        began, ended: when the request came and when its answer was ready, on the clock of `PredictRequest.started`.
    """
    slowest = max(request.stats, key=lambda call: call.held_seconds + call.upstream_seconds)
    told, upstream = dict(slowest.stages or {}), slowest.upstream_seconds
    told["network" if told else "service"] = max(0.0, upstream - sum(told.values()))
    spent = {"upload": request.started - began, "wait": slowest.held_seconds, **told}
    left = max(0.0, ended - began - sum(spent.values()))
    return {**spent, "shared" if slowest.shared else "router": left}
