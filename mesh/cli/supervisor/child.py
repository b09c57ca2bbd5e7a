"""Runs a module as the supervisor's child: `python -P -m mesh.cli.supervisor.child ocr_service`.

A child must not outlive its supervisor, not even one that was killed with -9 and could tell nobody: its ports would
stay busy and its memory taken. Linux sends SIGKILL when the parent is gone; elsewhere a thread looks every second.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "IMMICH_MESH_SUPERVISOR_PID"


def die_with_parent(parent: int) -> None:
    """Ends this process when `parent`, a process id, ends; at once when it has ended already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended between our start and the call above
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main() -> None:
    """Binds this process to its parent and becomes the module named by the first argument.

    Who its parent is stays in the environment: a service may run its program anew.
    """
    die_with_parent(int(os.environ[PARENT_VARIABLE]))
    module = sys.argv[1]
    sys.argv = [module, *sys.argv[2:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
