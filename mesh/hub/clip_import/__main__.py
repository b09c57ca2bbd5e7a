"""`python -m mesh.hub.clip_import ADAPTER SOURCE TARGET`: the converter as a process of its own.

The store starts it so: a converter needs more memory than its file is large for a while, and a service that kept that
memory would be the poorer.
"""

import sys
from pathlib import Path

from google.protobuf.message import DecodeError

from mesh.hub.catalogue import Adapter
from mesh.hub.clip_import.joint import adapt_joint
from mesh.hub.clip_import.pair import adapt_pair

_ADAPTERS = {Adapter.CN_CLIP_PAIR: adapt_pair, Adapter.CN_CLIP_JOINT: adapt_joint}


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 with the reason as the last line on standard error."""
    adapter, source, target = arguments
    try:
        _ADAPTERS[Adapter(adapter)](Path(source), Path(target))
    except (OSError, ValueError, DecodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
