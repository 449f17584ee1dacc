# SPDX-License-Identifier: LGPL-2.1-or-later
"""Views of sockets, and what is received by them."""
from __future__ import annotations

import ctypes
import os
import weakref
from ctypes import byref, c_size_t, c_ubyte, c_uint32

from ._libsnap import (VIEW_PARTS_MAX, Owned, check, lib, snap_view,
                       snap_view_part)

_FROM_BYTES = 128  # a struct sockaddr_storage


class Window:
    """The view of a socket: kept by the socket, and by all that is read in it.

    It has a descriptor of its own, so that the pages of a message can be given
    back when its socket is closed already.
    """

    def __init__(self, fd: int, length: int) -> None:
        self._fd = os.dup(fd)
        self.owned = Owned(
            lambda out: lib.snap_view_create(self._fd, length, 0, out),
            lib.snap_view_free, "snap_view_create")
        self._address: int = self.owned.read(snap_view).address

    def __del__(self) -> None:
        # The library's view first, which releases by the descriptor.
        self.__dict__.pop("owned", None)
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def show(self, part: snap_view_part) -> memoryview:
        """The bytes of a part, which is released when nobody has them."""
        place = (c_ubyte * part.length).from_address(self._address + part.offset)
        weakref.finalize(place, self._release, part).atexit = False
        return memoryview(place).cast("B").toreadonly()

    def _release(self, part: snap_view_part) -> None:
        # Refused in a child of fork(2): they are the parent's.
        lib.snap_view_release(self.owned, byref(part), 1)

    def receive(self, bufsize: int, flags: int) -> tuple[Message, bytes]:
        """One receive, and the address that it came from, as the kernel has it;
        an OSError also if it would block or was interrupted."""
        buffer = (c_ubyte * max(bufsize, 1))()
        parts = (snap_view_part * VIEW_PARTS_MAX)()
        count = c_size_t(VIEW_PARTS_MAX)
        address = ctypes.create_string_buffer(_FROM_BYTES)
        address_bytes = c_uint32(_FROM_BYTES)
        total = check(lib.snap_view_receive(
            self.owned, buffer, bufsize, flags, address, byref(address_bytes),
            parts, byref(count)), "snap_view_receive")
        copied = memoryview(buffer).cast("B").toreadonly()
        pieces, at, viewed = [], 0, 0
        for part in parts[:count.value]:
            if part.at > at:
                pieces.append(copied[at:part.at])
            pieces.append(self.show(part))
            at = part.at + part.length
            viewed += part.length
        total = min(total, bufsize)  # MSG_TRUNC tells more than there is
        if total > at:
            pieces.append(copied[at:total])
        return Message(tuple(pieces), viewed), address.raw[:address_bytes.value]


class Message:
    """What Socket.recv_view() has received. Not made by programs.

    pieces  tuple of read-only memoryviews: the bytes in their order, each where
            it arrived, or where it was copied to
    viewed  how many of the bytes were not copied

    len(message) is its bytes, bytes(message) copies them. The frames that they
    are in go back to the device with release(), at the end of a with statement
    or when the message is collected; those that somebody has a view of, when
    that is gone.
    """

    def __init__(self, pieces: tuple[memoryview, ...], viewed: int) -> None:
        self.pieces = pieces
        self.viewed = viewed
        self._length = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def memory(self) -> memoryview:
        """All of the bytes in one read-only memoryview: where they are if the
        message is in one piece, else a copy."""
        if len(self.pieces) == 1:
            return self.pieces[0][:]
        return memoryview(bytes(self))

    def release(self) -> None:
        """Its pieces are gone: using them is a ValueError. May be repeated.

        BufferError: something reads one of them itself (numpy.frombuffer(piece),
        but not that of memory), and it stays.
        """
        for piece in self.pieces:
            piece.release()

    def __enter__(self) -> Message:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
