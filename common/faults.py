"""Wrong settings in one line, by the names that a person would have set."""

from pydantic import ValidationError

from common.settings import MeshSettings


def settings_fault(error: ValidationError, kind: type[MeshSettings] | None = None) -> str:
    """The faults of settings, each with its variable and never with its value, which may be a secret.

    Args:
        error: what a settings class raised.
        kind: that class, for the variables' names; None names the fields alone.
    """
    return "; ".join(f"{_variable(fault['loc'], kind)}: {fault['msg']}" for fault in error.errors())


def _variable(place: tuple[int | str, ...], kind: type[MeshSettings] | None) -> str:
    if kind is None or not place:
        return ".".join(str(step) for step in place) or "settings"
    prefix = kind.model_config.get("env_prefix") or ""
    own = prefix + "__".join(str(step).upper() for step in place)
    others = kind.shared_names.get(str(place[0]), ()) if len(place) == 1 else ()
    return f"{own} (or {', '.join(others)})" if others else own
