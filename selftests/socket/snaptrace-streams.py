#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Streams to the host's echo server, one for each thing that can go wrong when
snaptrace matches packets and sends.  The file that is named gets a line of
JSON: by inode, how many sends each stream made, and the bounds of the longest
time from a send to its doorbell, in nanoseconds.

usage: snaptrace-streams.py PORT FILE
"""

import ctypes
import json
import os
import select
import socket
import struct
import sys
import time

AF_SNAP = 18
MSG_NOSIGNAL, MSG_FASTOPEN = 0x4000, 0x20000000
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
DROP_ALL = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
HOST = socket.inet_aton("10.77.0.1")
TCP_INFO_BYTES, TOTAL_RETRANS = 104, 100


class Stream(socket.socket):
    results = {}

    def __init__(self):
        super().__init__(AF_SNAP, socket.SOCK_STREAM, 0)
        self.sends = 0

    def connect(self, with_data=0):
        # Python has no addresses for this family
        to = struct.pack("=HH4s8x", socket.AF_INET,
                         socket.htons(int(sys.argv[1])), HOST)
        libc = ctypes.CDLL(None)
        good = (libc.sendto(self.fileno(), bytes(with_data), with_data,
                            MSG_FASTOPEN, to, len(to)) == with_data
                if with_data else
                libc.connect(self.fileno(), to, len(to)) == 0)
        if not good:
            sys.exit("no connection to the host")

    def give(self, length):
        self.sendall(bytes(length))
        self.sends += 1

    def take(self, length):
        while length:
            length -= len(self.recv(length))

    def lose_packets(self, lose):
        """Nothing comes in any more, acknowledgements neither."""
        if lose:
            self.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                            struct.pack("@HP", 1, ctypes.addressof(DROP_ALL)))
        else:
            self.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def wait_for_retransmission(self):
        def count():
            info = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO,
                                   TCP_INFO_BYTES)
            return struct.unpack_from("=I", info, TOTAL_RETRANS)[0]
        before = count()
        while count() == before:
            time.sleep(0.01)

    def done(self, at_least=0, at_most=3600 * 10**9):
        self.results[os.fstat(self.fileno()).st_ino] = (
            self.sends, at_least, at_most)
        self.close()


def one_by_one(s):
    for _ in range(10):
        s.give(20000)
        s.take(20000)
    s.done()


def connected_late():
    """After a call that fails because there is no connection."""
    s = Stream()
    try:
        s.send(b"x", MSG_NOSIGNAL)
    except BrokenPipeError:
        s.connect()
    one_by_one(s)


def connected_by_a_send():
    """That one begins when the stream has no sequence numbers yet."""
    s = Stream()
    s.connect(with_data=100)
    s.take(100)
    one_by_one(s)


def behind_a_retransmission():
    s = Stream()
    s.connect()
    s.lose_packets(True)
    s.give(1000)
    s.wait_for_retransmission()  # the first one takes along what is new
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    s.give(100)
    start = time.monotonic_ns()
    s.wait_for_retransmission()
    time.sleep(2e-9 * (time.monotonic_ns() - start))
    held = time.monotonic_ns() - start
    s.lose_packets(False)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    s.take(1100)
    s.done(at_least=held)


def behind_an_acknowledgement():
    s = Stream()
    s.connect()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    s.give(1000)
    select.select([s], [], [])
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    s.give(100)
    start = time.monotonic_ns()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    time.sleep(0.1)
    held = time.monotonic_ns() - start
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    s.take(1100)
    s.done(at_least=min(held, 2 * 10**8))  # TCP itself holds it no longer


def no_room():
    """After a call that fails because TCP has no room, and a while."""
    s = Stream()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20000)
    s.connect()
    s.lose_packets(True)
    s.setblocking(False)
    start = time.monotonic_ns()
    sent = s.send(bytes(1000000))
    first = time.monotonic_ns() - start
    s.sends += 1
    try:
        s.send(b"x")
    except BlockingIOError:
        time.sleep(1)
    s.lose_packets(False)
    s.setblocking(True)
    s.take(sent)
    start = time.monotonic_ns()
    s.give(1000)
    s.take(1000)
    last = time.monotonic_ns() - start
    s.done(at_most=max(first, last, 5 * 10**8))


for _ in range(8):  # as sequence numbers begin anywhere
    connected_late()
    connected_by_a_send()
behind_a_retransmission()
behind_an_acknowledgement()
no_room()
with open(sys.argv[2], "w", encoding="ascii") as f:
    json.dump(Stream.results, f)
