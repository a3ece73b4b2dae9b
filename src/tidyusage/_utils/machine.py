"""Host name, running processes and full disks."""

from __future__ import annotations

import os
import socket
from typing import Final

# As it can stand in a file's name.
HOST: Final = "".join(c if c.isalnum() else "-" for c in socket.gethostname())
# What is said of a disk without room; the last but one is what Hyper says.
IS_FULL: Final = (
    "No space left",
    "File too large",
    "quota exceeded",
    "temporary file failed",
    "max_temp_directory_size",
)


def runs(process: int) -> bool:
    """Tell whether a process of this machine is still there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
