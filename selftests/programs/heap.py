#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a program may expect of memory, under snap-run --heap.

heap.py [regions]: with the word, the pieces must lie in a region.
"""

import ctypes
import os
import socket
import sys

MIB = 1 << 20
libc = ctypes.CDLL(None)
for name in ("malloc", "calloc", "realloc", "aligned_alloc"):
    getattr(libc, name).restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.malloc_usable_size.argtypes = [ctypes.c_void_p]
libc.malloc_usable_size.restype = ctypes.c_size_t


def in_region(address):
    """True if the mapping around an address is one of a region."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            low, high = (int(n, 16) for n in line.split()[0].split("-"))
            if low <= address < high:
                return "snap" in line
    return False


def child(work):
    """Run it in a child process: true if it returned true."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(not work())
        except BaseException:
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0


def pieces():
    """Sizes over the threshold and under it, grown, shrunk, zeroed."""
    for start in (100, 70000, MIB):
        for end in (70001, 3 * MIB, 50, 2 * MIB):
            piece = libc.malloc(start)
            assert libc.malloc_usable_size(piece) >= start
            ctypes.memset(piece, 0x5A, start)
            piece = libc.realloc(piece, end)
            kept = min(start, end)
            assert ctypes.string_at(piece, kept) == b"\x5a" * kept
            ctypes.memset(piece, 0xA5, end)
            libc.free(piece)
            piece = libc.calloc(1, end)
            assert ctypes.string_at(piece, end) == bytes(end)
            libc.free(piece)
    for alignment in (64, 256, 4096):
        piece = libc.aligned_alloc(alignment, MIB)
        assert piece % alignment == 0
        libc.free(piece)


def direct():
    """A buffer that is aligned for O_DIRECT is one that can be pinned."""
    piece = libc.aligned_alloc(4096, MIB)
    assert not in_region(piece)
    libc.free(piece)


def forked(generations):
    """Each process has what was there before fork(), and its own since."""
    shared = bytearray(b"p" * MIB)
    go, gone = os.pipe(), os.pipe()

    def work():
        os.read(go[0], 1)  # the parent has overwritten its own
        good = shared == b"p" * MIB
        shared[:] = b"c" * MIB
        os.write(gone[1], b"x")
        fresh = bytearray(b"f" * MIB)
        good = good and (generations == 1 or forked(generations - 1))
        return good and shared == b"c" * MIB and fresh == b"f" * MIB

    pid = os.fork()
    if pid == 0:
        try:
            os._exit(not work())
        except BaseException:
            os._exit(2)
    shared[:] = b"q" * MIB
    os.write(go[1], b"x")
    os.read(gone[0], 1)
    good = shared == b"q" * MIB
    good = os.waitpid(pid, 0)[1] == 0 and good
    for fd in go + gone:
        os.close(fd)
    return good and shared == b"q" * MIB


def descriptors_closed():
    """Programs close what they do not know; memory stays."""
    kept = bytearray(b"k" * MIB)
    os.closerange(3, 100)
    taken = [os.open("/dev/null", os.O_RDWR) for _ in range(8)]
    other = bytearray(b"o" * MIB)
    assert child(lambda: kept == b"k" * MIB and other == b"o" * MIB)
    assert all(os.fstat(fd).st_rdev == os.stat("/dev/null").st_rdev
               for fd in taken)
    return kept == b"k" * MIB


if sys.argv[1:] == ["regions"]:
    with socket.socket():
        large = libc.malloc(MIB)
    assert in_region(large), "not in a region"
    direct()
else:
    with socket.socket():
        pass
pieces()
assert forked(3), "fork"
assert child(descriptors_closed), "descriptors"
assert descriptors_closed(), "descriptors"
