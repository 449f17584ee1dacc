# SPDX-License-Identifier: LGPL-2.1-or-later
"""Regions and snapshots."""
from __future__ import annotations

import errno
import mmap
import os
import threading
import weakref
from ctypes import byref, c_size_t, c_uint64, c_ubyte, c_void_p
from typing import Any

from . import _stats
from ._device import Device
from ._libsnap import (CONFLICTS_MAX, Owned, check, lib, snap_region,
                       snap_snapshot)
from ._stats import Hint, ObjectInfo

_SPARSE = 0x0001
_mapping = threading.Lock()  # guards the mappings of snapshots


class StaleError(OSError):
    """The region has changed meanwhile, and nothing was done: errno is ESTALE.

    conflicts  of a merge: offsets in bytes, in ascending order, of the first 64
               words of 8 bytes that both sides have changed; of a commit: ()
    """

    conflicts: tuple[int, ...] = ()


def _stale(what: str, conflicts: tuple[int, ...] = ()) -> StaleError:
    error = StaleError(errno.ESTALE, f"{what}: the region has changed")
    error.conflicts = conflicts
    return error


class Region(mmap.mmap):
    """Memory of the device that can be sent by reference.

    What an AF_SNAP socket sends of it goes by reference: send() keeps the bytes
    as they are, and the memory may be written again at once.

    device  a Device, which need not stay open
    length  bytes, rounded up to pages of 4096; zero at first
    hint    a Hint
    sparse  pages take their frame with the first store; all are reserved

    A region is an mmap.mmap: region[a:b], region[a:b] = bytes, find(), seek(),
    write() and so on work, and so does all that takes a writable buffer:
    memoryview(region)[a:b], numpy.frombuffer(region), readinto(region).

    Close it, or leave it to the garbage collector. As of any mmap, close() is
    a BufferError while a buffer of it is in use: a memoryview, an array of
    numpy, one of buffer(). A region that was dropped lives until these are gone.

    It is shared with children of fork(2). When the device is removed or reset,
    touching a region ends the process with SIGBUS, as files that were cut do.

    Errors: ValueError, length 0 or less; OSError with EDQUOT, over the user's
    quota; ENOSPC, no frames, or no window that large, are left; ENODEV, there is
    no device; ENOMEM, EMFILE. After close() everything is a ValueError.
    """

    # The library has a mapping of its own, for the places of buffers; nobody
    # touches it. This one is Python's because its mappings count the buffers
    # that are taken of them, and are not unmapped under one.
    _owned: Owned | None

    def __new__(cls, device: Device, length: int, hint: Hint = Hint.NONE, *,
                sparse: bool = False) -> Region:
        if length <= 0:
            raise ValueError("the length of a region is positive")
        return cls._of(Owned(
            lambda out: lib.snap_region_create_flags(
                device._handle(), length, hint, _SPARSE if sparse else 0, out),
            lib.snap_region_free, "snap_region_create"))

    @classmethod
    def _of(cls, owned: Owned) -> Region:
        made = owned.read(snap_region)
        self = cls._map(made.fd, made.length)
        self._owned = owned
        return self

    @classmethod
    def _map(cls, fd: int, length: int) -> Region:
        new: Any = super().__new__  # whose arguments not all type checkers know
        self: Region = new(cls, fd, length)
        return self

    @classmethod
    def from_fd(cls, fd: int, length: int | None = None) -> Region:
        """A region that somebody else has made, of its descriptor.

        fd      from fileno(), inherited or by socket.recv_fds(): the region's
                from now on, unless this fails
        length  bytes to be mapped, whole pages; None: all

        Errors: OSError with EBADF; ENOTTY, of something else; EINVAL; EACCES.
        """
        if length is None:
            length = _stats.object_info(fd).length
        bytes_ = length
        # Mapped first: nothing may fail once the library has the descriptor.
        self = cls._map(fd, length)
        self._owned = Owned(
            lambda out: lib.snap_region_from_fd(fd, bytes_, out),
            lib.snap_region_free, "snap_region_from_fd")
        return self

    def _handle(self) -> Owned:
        owned = self._owned  # once: another thread may close it
        if owned is None:
            raise ValueError("the region is closed")
        return owned

    def fileno(self) -> int:
        """The descriptor, which stays the region's; for socket.send_fds()."""
        return int(self._handle().read(snap_region).fd)

    def size(self) -> int:
        """Bytes, as len()."""
        self._handle()
        return len(self)

    def info(self) -> ObjectInfo:
        """State of the region: an ObjectInfo. OSError with ENODEV."""
        owned = self._handle()  # held, and with it the descriptor
        return _stats.object_info(owned.read(snap_region).fd)

    def buffer(self, length: int) -> memoryview:
        """A piece of the region of length bytes, to be sent.

        It begins a page, shares none with other buffers, and holds whatever was
        there. When the memoryview and all that was made of it are gone, or
        released, it goes back. It has nothing to do with region[a:b], which
        reaches all of it.

        Errors: ValueError, length 0 or less; OSError with ENOSPC, there is no
        gap that large; PermissionError, this is a child of fork(2).
        """
        if length <= 0:
            raise ValueError("the length of a buffer is positive")
        owned, start = self._handle(), c_void_p()
        check(lib.snap_buffer_alloc(owned, length, byref(start)),
              "snap_buffer_alloc")
        first: int = owned.read(snap_region).address
        try:
            piece = (c_ubyte * length).from_buffer(
                self, (start.value or 0) - first)
        except BaseException:
            lib.snap_buffer_free(owned, start)
            raise
        # In a child of fork(2) it is the parent's: refused, and rightly.
        weakref.finalize(piece, lib.snap_buffer_free, owned, start).atexit = False
        return memoryview(piece).cast("B")

    def adopt(self) -> None:
        """In a child of fork(2) that takes over: buffer() works from now on."""
        check(lib.snap_region_adopt(self._handle()), "snap_region_adopt")

    def discard(self, offset: int, length: int) -> None:
        """Makes whole pages zero, for everybody, and gives their frames back.

        offset, length  bytes, multiples of 4096

        Errors: OSError with EINVAL, these are not pages of the region; ENODEV.
        """
        if offset < 0 or length < 0:
            raise ValueError("offset and length are not negative")
        check(lib.snap_region_discard(self._handle(), offset, length),
              "snap_region_discard")

    def snapshot(self) -> Snapshot:
        """The whole region at this instant: Snapshot(self)."""
        return Snapshot(self)

    def commit(self, snapshot: Snapshot, version: int) -> int:
        """Becomes what the snapshot is, for everybody at once.

        snapshot  of the same length
        version   that the region must be at: that of a snapshot of it

        Returns the new version. Errors: StaleError, it is at another one, or
        somebody has stored to it; OSError with EINVAL, lengths differ; ENOSPC,
        EDQUOT, no frames; EOPNOTSUPP, the device has no versions; ENODEV.
        """
        number = c_uint64(version)
        result = lib.snap_region_commit(self._handle(), snapshot._handle(),
                                        byref(number))
        if result == -errno.ESTALE:
            raise _stale("snap_region_commit")
        check(result, "snap_region_commit")
        return number.value

    def merge(self, base: Snapshot, changed: Snapshot) -> int:
        """Brings in what has changed from base to changed, for everybody at
        once, by words of 8 bytes.

        Both are of the region's length; typically base is what a clone was made
        of, and changed a snapshot of that clone.

        Returns the new version. Errors: StaleError, its conflicts say where the
        region has changed to something else; others as those of commit().
        """
        places = (c_uint64 * CONFLICTS_MAX)()
        found, number = c_size_t(CONFLICTS_MAX), c_uint64()
        result = lib.snap_region_merge(self._handle(), base._handle(),
                                       changed._handle(), places, byref(found),
                                       byref(number))
        if result == -errno.ESTALE:
            raise _stale("snap_region_merge", tuple(places[:found.value]))
        check(result, "snap_region_merge")
        return number.value

    def close(self) -> None:
        """Unmaps and closes. BufferError, and nothing is done: a buffer of it
        is in use. What was sent from it arrives all the same."""
        super().close()
        self._owned = None

    def __exit__(self, *error: object) -> None:
        self.close()


class Snapshot:
    """A region at one instant, whatever is stored to it later.

    Taking it copies nothing, and takes no longer for a longer region. Frames for
    the stores that may follow are set aside now, on the quota of its owner.

    len(snapshot) is its bytes. map() shows them, read() copies some. Close it,
    or leave it to the garbage collector; it is a context manager that closes it.

    Errors: OSError with ENOSPC, no frames are left, or snapshots; EDQUOT;
    EOPNOTSUPP, the device cannot trap stores; ENODEV, ENOMEM, EMFILE. After
    close() everything is a ValueError.
    """

    _mapping: mmap.mmap | None = None

    def __init__(self, region: Region) -> None:
        self._owned: Owned | None = Owned(
            lambda out: lib.snap_snapshot_take(region._handle(), out),
            lib.snap_snapshot_free, "snap_snapshot_take")

    @classmethod
    def from_fd(cls, fd: int) -> Snapshot:
        """A snapshot that somebody else has taken, of its descriptor, which is
        the snapshot's from now on, unless this fails.

        Errors: OSError with EBADF; ENOTTY, of something else; EINVAL, that of a
        region; ENODEV.
        """
        self = cls.__new__(cls)
        self._owned = Owned(lambda out: lib.snap_snapshot_from_fd(fd, out),
                            lib.snap_snapshot_free, "snap_snapshot_from_fd")
        return self

    def _handle(self) -> Owned:
        owned = self._owned  # once: another thread may close it
        if owned is None:
            raise ValueError("the snapshot is closed")
        return owned

    def __len__(self) -> int:
        return int(self._handle().read(snap_snapshot).length)

    @property
    def version(self) -> int:
        """Of the region, at that instant; for Region.commit()."""
        return int(self._handle().read(snap_snapshot).version)

    def fileno(self) -> int:
        """The descriptor, which stays the snapshot's: for socket.send_fds(),
        os.sendfile() and os.pread()."""
        return int(self._handle().read(snap_snapshot).fd)

    def info(self) -> ObjectInfo:
        """State of the snapshot: an ObjectInfo. OSError with ENODEV."""
        owned = self._handle()
        return _stats.object_info(owned.read(snap_snapshot).fd)

    def map(self) -> memoryview:
        """All of its bytes, where they are: a read-only memoryview.

        The first call maps them. While the view, or what was made of it, is in
        use, the snapshot cannot be closed; one that was dropped stays. Pages
        that were looked at count as in flight. SIGBUS: as for regions.

        Errors: OSError with ENODEV, ENOMEM.
        """
        with _mapping:
            if self._mapping is None:
                self._mapping = mmap.mmap(self.fileno(), len(self),
                                          prot=mmap.PROT_READ)
            return memoryview(self._mapping)

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """A copy of length bytes from offset on, or up to the end, without
        mapping them. OSError with ENODEV; ValueError: they are not in it."""
        owned = self._handle()  # held, and with it the descriptor
        fd, whole = owned.read(snap_snapshot).fd, len(self)
        end = whole if length is None else offset + length
        if not 0 <= offset <= end <= whole:
            raise ValueError("that is not in the snapshot")
        parts = []
        while offset < end:  # one call gives 2 GiB at most
            parts.append(os.pread(fd, end - offset, offset))
            offset += len(parts[-1])
        return b"".join(parts)

    def diff(self, other: Snapshot) -> list[int]:
        """Offsets in bytes of the pages that differ, in ascending order.

        Takes time by the pages that differ if one comes from the other.

        Errors: OSError with EINVAL, lengths differ; ENODEV.
        """
        pages, offset, whole = (c_uint64 * 1024)(), c_uint64(), len(self)
        found: list[int] = []
        while offset.value < whole:
            count = check(lib.snap_snapshot_diff(
                self._handle(), other._handle(), byref(offset), pages,
                len(pages)), "snap_snapshot_diff")
            found += pages[:count]
        return found

    def clone(self, hint: Hint = Hint.NONE) -> Region:
        """A new region that starts as the snapshot, on the caller's quota.

        Errors as of Region and Snapshot.
        """
        return Region._of(Owned(
            lambda out: lib.snap_snapshot_clone(self._handle(), hint, out),
            lib.snap_region_free, "snap_snapshot_clone"))

    def close(self) -> None:
        """Gives its frames back, as far as nothing else has them. BufferError,
        and nothing is done: a view of it is in use."""
        with _mapping:
            if self._mapping is not None:
                self._mapping.close()
            self._mapping = self._owned = None

    def __enter__(self) -> Snapshot:
        self._handle()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
