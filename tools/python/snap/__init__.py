# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshot memory and AF_SNAP sockets.

A Region is memory of the snap device. It is an mmap: bytes can be stored to it,
and it can be seen as a memoryview or an array of numpy. A Socket is a TCP or UDP
socket. What it sends of a region goes by reference: nothing is copied by the
kernel, and yet the memory may be written again as soon as send() has returned;
the peer gets the bytes that were there.

    region = snap.Region(snap.Device(), 1 << 20)
    memory = memoryview(region)
    sock = snap.Socket(socket.AF_INET, socket.SOCK_DGRAM)
    memory[:60000] = bytes(60000)
    sock.sendto(memory[:60000], ("10.77.0.1", 9000))
    memory[:60000] = b"x" * 60000      # the peer still gets zeros

A Snapshot is a whole region at one instant. It can be read, compared, cloned, and
committed to the region or merged into it.

    before = region.snapshot()
    memory[0] = 1
    before.map()[0]                    # what it was

Messages can be received where they arrived, without a copy:

    with sock.recv_view(65536) as message:
        for piece in message.pieces: ...

Lengths and offsets are bytes. Pages and frames have 4096. Errors of the system
are OSError with its errno, of its subclasses where Python has one. Objects that
were closed raise ValueError. All may be used by several threads, and be dropped
in any order: memory goes when nobody can see it any more. Regions and snapshots
are shared with children of fork(2); buffers and views are the parent's.

It needs the library libsnap.so.0. Read on in libsnap(3), libsnap_memory(3),
snap_memory(7), af_snap(7), snapctl(8).
"""
from ._device import Device
from ._libsnap import AF_SNAP, BUFFER_ALIGN, lib as _lib
from ._memory import Region, Snapshot, StaleError
from ._socket import Socket
from ._stats import (Count, Feature, Hint, Info, ObjectInfo, SocketStats,
                     Stats)
from ._view import Message

__all__ = ["AF_SNAP", "BUFFER_ALIGN", "Count", "Device", "Feature", "Hint",
           "Info", "Message", "ObjectInfo", "Region", "Snapshot", "Socket",
           "SocketStats", "StaleError", "Stats", "version"]


def version() -> str:
    """Of libsnap.so.0, at run time."""
    return str(_lib.snap_version().decode())
