# SPDX-License-Identifier: LGPL-2.1-or-later
"""/dev/snap, open."""
from __future__ import annotations

import errno
import os

from . import _stats
from ._libsnap import Owned, filled, lib, snap_info, snap_stats

# Better said than by strerror(3).
_WHY = {
    errno.ENOENT: "the module snap is not loaded",
    errno.ENOTTY: "this is not the device of the module snap",
    errno.EPROTONOSUPPORT: "the module snap is older than libsnap needs",
}


class Device:
    """/dev/snap, open.

    Opens /dev/snap, or what $SNAP_DEVICE names. It is needed to make regions,
    which go on without it. The module may have no device of its own: then it
    opens, and info() fails.

    Errors: FileNotFoundError, the module is not loaded; PermissionError, it is
    not for this user; OSError with EPROTONOSUPPORT, the module is older than
    the library needs, ENOTTY, that file is something else, EMFILE, ENOMEM.

    A Device is a context manager that closes it.
    """

    def __init__(self) -> None:
        try:
            self._owned: Owned | None = Owned(lib.snap_open, lib.snap_close,
                                              "snap_open")
        except OSError as error:
            number = error.errno or 0
            path = os.environ.get("SNAP_DEVICE") or "/dev/snap"
            raise OSError(number, _WHY.get(number, os.strerror(number)),
                          path) from None

    def _handle(self) -> Owned:
        owned = self._owned  # once: another thread may close it
        if owned is None:
            raise ValueError("the device is closed")
        return owned

    def fileno(self) -> int:
        """The descriptor, which stays the device's."""
        return int(lib.snap_fd(self._handle()))

    def info(self) -> _stats.Info:
        """Size and use of the device: an Info.

        Errors: OSError with ENODEV, there is no device.
        """
        return _stats.info(filled(
            snap_info, lambda out: lib.snap_get_info(self._handle(), out),
            "snap_get_info"))

    def stats(self) -> _stats.Stats:
        """Counters of the device and of all sockets: a Stats."""
        return _stats.stats(filled(
            snap_stats, lambda out: lib.snap_get_stats(self._handle(), out),
            "snap_get_stats"))

    def close(self) -> None:
        """Closes it. Regions stay. All but close() is a ValueError then."""
        self._owned = None

    def __enter__(self) -> Device:
        self._handle()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
