"""Label selectors, as controllers and network plug-ins read them."""

from collections.abc import Mapping

from tests.helm.cluster.store import Object


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is meant. An empty selector means every one.

    Raises:
        ValueError: an operator that the chart does not use.
    """
    for one in selector.get("matchExpressions", ()):
        if one["operator"] != "In":
            raise ValueError(f"operator {one['operator']}")
        if labels.get(one["key"]) not in one["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
