# SPDX-License-Identifier: LGPL-2.1-or-later
"""What module and device tell, as objects of Python."""
from __future__ import annotations

import dataclasses
import enum
from typing import Any

from . import _libsnap
from ._libsnap import lib


class Hint(enum.IntEnum):
    """What will be done to a region: changes speed only.

    NONE     nothing is known
    KEEP     rarely rewritten: captures share its frames
    REWRITE  rewritten after each send: captures copy them
    """

    NONE = 0
    KEEP = 1
    REWRITE = 2


class Feature(enum.IntFlag):
    """Features of the device that the driver has accepted.

    SNAPSHOT   it can trap stores: there are snapshots, clones and versions
    CSUM       completes checksums of what is sent
    TSO4 TSO6  cuts TCP segments
    USO        cuts one packet of UDP into many datagrams
    RX_CSUM    what is received may carry partial checksums
    RX_LRO     TCP packets longer than the MTU may be received
    STEPS      large regions are made in steps
    TAKE_ARM   the device arms interrupts when it has handed out its last packet
    HOLDOFF    the device can hold interrupts for received packets back
    STEER      it can be told by which queues received flows come
    LARGE_FRAMES  bulk data comes, and is captured, in frames of 64 KiB
    """

    CSUM = 0x01
    TSO4 = 0x02
    TSO6 = 0x04
    RX_CSUM = 0x08
    RX_LRO = 0x10
    SNAPSHOT = 0x20
    STEPS = 0x40
    TAKE_ARM = 0x80
    USO = 0x100
    HOLDOFF = 0x200
    STEER = 0x400
    LARGE_FRAMES = 0x800


@dataclasses.dataclass(frozen=True)
class Info:
    """The device, as Device.info() tells of it. A frame is 4096 bytes.

    abi_version     of the module's interface
    device_version  of the device's
    ifindex         of its network interface
    features        a Feature
    pool_frames     frames that the device has
    free_frames     of them, those that nobody holds
    out_frames      of them, those in sockets, packets, views and mapped snapshots
    window_pages    pages for all regions together
    quota_frames    of them the calling user may have
    used_frames     of the quota: regions, snapshots, and kept for later stores
    frame_bytes     4096
    """

    abi_version: int
    device_version: int
    ifindex: int
    features: Feature
    pool_frames: int
    free_frames: int
    out_frames: int
    window_pages: int
    quota_frames: int
    used_frames: int
    frame_bytes: int


@dataclasses.dataclass(frozen=True)
class ObjectInfo:
    """A region or snapshot, as its info() tells of it.

    length            bytes
    version           of the region, or of it when the snapshot was taken
    populated_frames  pages that have a frame; the others are zero
    reserved_frames   kept for later stores to the region
    shared_pages      pages that sends have captured by sharing
    copied_pages      pages that sends have captured by copying
    write_faults      stores that hit a page shared or without frame
    handle            the device's name for it, which traces have
    owner             user id, in the initial user namespace
    dirty             the region was stored to since it had that version
    sharing           the next long capture shares, as far as the device decides
    """

    length: int
    version: int
    populated_frames: int
    reserved_frames: int
    shared_pages: int
    copied_pages: int
    write_faults: int
    handle: int
    owner: int
    dirty: bool
    sharing: bool


@dataclasses.dataclass(frozen=True)
class Count:
    """Messages, and bytes of them without headers."""

    msgs: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class SocketStats:
    """What went by reference and what was copied, and why.

    tx_ref_msgs, tx_ref_bytes        sent by reference
    tx_copied_msgs, tx_copied_bytes  sent by copy
    rx_msgs                          received
    rx_copied_bytes                  of them, bytes that were copied
    rx_viewed_msgs, rx_viewed_bytes  of them, those with bytes in the view
    copied      of what was sent by copy: reason -> Count
    received    of what was received by copy: reason -> Count; a message may
                count under several
    Reasons are those of snapctl(8), af_snap(7) explains them: "short",
    "not_region", ... and "not_asked", "not_frames", ...
    """

    tx_ref_msgs: int
    tx_ref_bytes: int
    tx_copied_msgs: int
    tx_copied_bytes: int
    rx_msgs: int
    rx_copied_bytes: int
    rx_viewed_msgs: int
    rx_viewed_bytes: int
    copied: dict[str, Count]
    received: dict[str, Count]


@dataclasses.dataclass(frozen=True)
class Stats:
    """What Device.stats() tells.

    device   counters of the device by the names that snapctl(8) has: numbers,
             bytes, or levels, which fall as well; {} if there is no device
    sockets  a SocketStats: all AF_SNAP sockets of this network namespace
    """

    device: dict[str, int]
    sockets: SocketStats


def _fields(made: Any, filled: Any) -> dict[str, Any]:
    """Those of both, of the class to be made and of the structure."""
    return {field.name: getattr(filled, field.name)
            for field in dataclasses.fields(made) if hasattr(filled, field.name)}


def _by_reason(name: Any, msgs: Any, count: Any) -> dict[str, Count]:
    return {_libsnap.name(name, reason): Count(*both)
            for reason, both in enumerate(zip(msgs, count))
            if name(reason) is not None or any(both)}


def socket_stats(filled: _libsnap.snap_sock_stats) -> SocketStats:
    return SocketStats(
        **_fields(SocketStats, filled),
        copied=_by_reason(lib.snap_copy_reason_name, filled.copied_msgs,
                          filled.copied_bytes),
        received=_by_reason(lib.snap_recv_reason_name, filled.recv_msgs,
                            filled.recv_bytes))


def stats(filled: _libsnap.snap_stats) -> Stats:
    return Stats(
        device={_libsnap.name(lib.snap_counter_name, i): filled.device[i]
                for i in range(filled.ncounters)},
        sockets=socket_stats(filled.sockets))


def info(filled: _libsnap.snap_info) -> Info:
    return Info(**_fields(Info, filled)
                | {"features": Feature(filled.features)})


def object_info(fd: int) -> ObjectInfo:
    filled = _libsnap.filled(_libsnap.snap_object_info,
                             lambda out: lib.snap_get_object_info(fd, out),
                             "snap_get_object_info")
    return ObjectInfo(**_fields(ObjectInfo, filled)
                      | {"dirty": bool(filled.dirty),
                         "sharing": bool(filled.sharing)})
