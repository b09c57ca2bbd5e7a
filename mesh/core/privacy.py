"""Nothing is reported to anyone: libraries that report to their makers are told not to, before any of them is imported.

`mesh/__init__.py` calls this, and every package that may import such a library imports `mesh` first. Images, compose
and the chart set the same variables, for whatever else runs in a container.
"""

import os

NO_REPORTS = {
    # onnxruntime 1.29 and later: events to Microsoft, an identity in ~/.cache/Microsoft. Read once, while it loads.
    "ORT_DISABLE_TELEMETRY": "1",
    # huggingface_hub, which tokenizers brings along.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # What other libraries agreed on.
    "DO_NOT_TRACK": "1",
}
"""Environment variables that switch reports off."""


def forbid_reports() -> None:
    """Sets `NO_REPORTS` for this process and its children, whatever stood there."""
    os.environ.update(NO_REPORTS)
