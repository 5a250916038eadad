"""``tapetum`` on a disk that reports, at every sync, that it lost what was written: while the file ``dying`` is there.

python dying_disk.py DYING COMMAND ...
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from tapetum import cli

dying = sys.argv.pop(1)


def failing(sync: Callable[[int], None]) -> Callable[[int], None]:
    """The call, until the disk is dying."""

    def synced(handle: int) -> None:
        if os.path.exists(dying):  # noqa: PTH110 - pathlib is heavy for what is called so often
            raise OSError(errno.EIO, "Input/output error")
        sync(handle)

    return synced


os.fdatasync, os.fsync = failing(os.fdatasync), failing(os.fsync)  # type: ignore[assignment]
cli.main()
