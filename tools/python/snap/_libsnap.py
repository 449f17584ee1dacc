# SPDX-License-Identifier: LGPL-2.1-or-later
"""The binding: structures and functions of libsnap.h, as far as they are used
here. tools/tests/python_test.py compares the structures with the headers."""
from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_ssize_t, c_uint32
from ctypes import c_uint64, c_void_p
from typing import Any, Callable

SONAME = "libsnap.so.0"

AF_SNAP = 18
PROTO_IPV4, PROTO_IPV6 = 0, 1
BUFFER_ALIGN = 4096
CONFLICTS_MAX = 64
VIEW_PARTS_MAX = 32
REASONS_ROOM = 16
COUNTERS = 64  # there is room for; as many as the device has are filled


class snap_sock_stats(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32), ("reserved", c_uint32),
        ("tx_ref_msgs", c_uint64), ("tx_ref_bytes", c_uint64),
        ("tx_copied_msgs", c_uint64), ("tx_copied_bytes", c_uint64),
        ("rx_msgs", c_uint64), ("rx_copied_bytes", c_uint64),
        ("rx_viewed_msgs", c_uint64), ("rx_viewed_bytes", c_uint64),
        ("copied_msgs", c_uint64 * REASONS_ROOM),
        ("copied_bytes", c_uint64 * REASONS_ROOM),
        ("recv_msgs", c_uint64 * REASONS_ROOM),
        ("recv_bytes", c_uint64 * REASONS_ROOM),
    ]


class snap_info(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32), ("abi_version", c_uint32),
        ("device_version", c_uint32), ("ifindex", c_uint32),
        ("features", c_uint64), ("pool_frames", c_uint64),
        ("free_frames", c_uint64), ("out_frames", c_uint64),
        ("window_pages", c_uint64), ("quota_frames", c_uint64),
        ("used_frames", c_uint64), ("frame_bytes", c_uint64),
    ]


class snap_stats(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32), ("ncounters", c_uint32),
        ("device", c_uint64 * COUNTERS), ("sockets", snap_sock_stats),
    ]


class snap_object_info(ctypes.Structure):
    _fields_ = [
        ("size", c_uint32), ("kind", c_uint32),
        ("length", c_uint64), ("version", c_uint64),
        ("populated_frames", c_uint64), ("reserved_frames", c_uint64),
        ("shared_pages", c_uint64), ("copied_pages", c_uint64),
        ("write_faults", c_uint64),
        ("handle", c_uint32), ("owner", c_uint32),
        ("dirty", c_uint32), ("sharing", c_uint32),
    ]


class snap_region(ctypes.Structure):
    _fields_ = [("fd", c_int), ("address", c_void_p), ("length", c_size_t)]


class snap_snapshot(ctypes.Structure):
    _fields_ = [("fd", c_int), ("address", c_void_p), ("length", c_size_t),
                ("version", c_uint64)]


class snap_view(ctypes.Structure):
    _fields_ = [("fd", c_int), ("address", c_void_p), ("length", c_size_t)]


class snap_view_part(ctypes.Structure):
    _fields_ = [("offset", c_uint64), ("at", c_uint32), ("length", c_uint32)]


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(SONAME)
        for name, result, *arguments in _FUNCTIONS:
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except OSError as error:
        raise ImportError(
            f"snap needs {SONAME} (Debian package libsnap0): {error}") from None
    except AttributeError as error:
        raise ImportError(f"{SONAME} is older than this module: {error}") from None
    return library


# Objects that the library hands out are void pointers here: see Owned.
_out = POINTER(c_void_p)
_FUNCTIONS: list[tuple[Any, ...]] = [
    ("snap_version", c_char_p),
    ("snap_open", c_int, _out),
    ("snap_close", None, c_void_p),
    ("snap_fd", c_int, c_void_p),
    ("snap_get_info", c_int, c_void_p, POINTER(snap_info)),
    ("snap_get_stats", c_int, c_void_p, POINTER(snap_stats)),
    ("snap_region_create_flags", c_int, c_void_p, c_size_t, c_int, ctypes.c_uint,
     _out),
    ("snap_region_from_fd", c_int, c_int, c_size_t, _out),
    ("snap_region_free", None, c_void_p),
    ("snap_region_adopt", c_int, c_void_p),
    ("snap_region_discard", c_int, c_void_p, c_size_t, c_size_t),
    ("snap_region_commit", c_int, c_void_p, c_void_p, POINTER(c_uint64)),
    ("snap_region_merge", c_int, c_void_p, c_void_p, c_void_p, POINTER(c_uint64),
     POINTER(c_size_t), POINTER(c_uint64)),
    ("snap_snapshot_take", c_int, c_void_p, _out),
    ("snap_snapshot_from_fd", c_int, c_int, _out),
    ("snap_snapshot_free", None, c_void_p),
    ("snap_snapshot_clone", c_int, c_void_p, c_int, _out),
    ("snap_snapshot_diff", c_int, c_void_p, c_void_p, POINTER(c_uint64),
     POINTER(c_uint64), c_size_t),
    ("snap_get_object_info", c_int, c_int, POINTER(snap_object_info)),
    ("snap_buffer_alloc", c_int, c_void_p, c_size_t, _out),
    ("snap_buffer_free", c_int, c_void_p, c_void_p),
    ("snap_socket", c_int, c_int, c_int),
    ("snap_socket_stats", c_int, c_int, POINTER(snap_sock_stats)),
    ("snap_set_copybreak", c_int, c_int, c_int),
    ("snap_get_copybreak", c_int, c_int),
    ("snap_view_create", c_int, c_int, c_size_t, ctypes.c_uint, _out),
    ("snap_view_free", None, c_void_p),
    ("snap_view_receive", c_ssize_t, c_void_p, c_void_p, c_size_t, c_int, c_void_p,
     POINTER(c_uint32), POINTER(snap_view_part), POINTER(c_size_t)),
    ("snap_view_release", c_int, c_void_p, POINTER(snap_view_part), c_size_t),
    ("snap_copy_reason_name", c_char_p, ctypes.c_uint),
    ("snap_recv_reason_name", c_char_p, ctypes.c_uint),
    ("snap_counter_name", c_char_p, ctypes.c_uint),
]

lib = _load()


def check(result: int, what: str) -> int:
    """The result of a function of libsnap, or its errno as an OSError."""
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


class Owned:
    """What the library handed out, given back when nobody uses it any more.

    Functions take it as an argument, and a call holds its arguments: so a
    thread that closes an object takes it from no other that is in a call.
    """

    def __init__(self, make: Callable[[Any], Any], free: Callable[[Any], Any],
                 what: str) -> None:
        pointer = c_void_p()
        check(make(ctypes.byref(pointer)), what)
        self._as_parameter_ = pointer
        self._free = free

    def __del__(self) -> None:
        if hasattr(self, "_free"):
            self._free(self._as_parameter_)

    def read(self, structure: Any) -> Any:
        """What the library shows of it: a structure of its own, which stays when
        another thread closes the object. Descriptor and address in it do not."""
        shown = ctypes.cast(self._as_parameter_, POINTER(structure)).contents
        return structure.from_buffer_copy(shown)


def filled(structure: Any, ask: Callable[[Any], Any], what: str) -> Any:
    """A structure that says its size, as ask(pointer) fills it."""
    made = structure(size=ctypes.sizeof(structure))
    check(ask(ctypes.byref(made)), what)
    return made


def name(function: Callable[[int], bytes | None], number: int) -> str:
    """Of a reason or counter; of one newer than the library its number."""
    found = function(number)
    return str(number) if found is None else found.decode()
