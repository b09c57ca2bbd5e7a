"""The version of the installed distribution."""

from importlib.metadata import PackageNotFoundError, version


def mesh_version() -> str:
    """The distribution's version, e.g. `0.1.0`; `0+source` when it runs from a tree that was never installed."""
    try:
        return version("immich-mesh")
    except PackageNotFoundError:
        return "0+source"
