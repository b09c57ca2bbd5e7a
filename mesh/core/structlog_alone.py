"""structlog without rich, which it imports wherever that is installed, to draw tracebacks that no log of ours has.

The packages that run as processes call this before anything of theirs imports structlog: rich and what it brings take
7 MB and a tenth of the start of each process. The command has rich already, and keeps it.
"""

import sys


def import_structlog_alone() -> None:
    """Imports structlog as if rich were not installed; whoever needs rich itself can import it afterwards."""
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # what makes `import rich` an ImportError
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
