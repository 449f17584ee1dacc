# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets of AF_SNAP."""
from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
import time
from typing import Any

from . import _stats
from ._libsnap import (PROTO_IPV4, PROTO_IPV6, check, filled, lib,
                       snap_sock_stats)
from ._stats import SocketStats
from ._view import Message, Window

_PROTOCOLS: dict[int, int] = {socket.AF_INET: PROTO_IPV4, socket.AF_INET6: PROTO_IPV6}
_KINDS: dict[int, int] = {socket.SOCK_STREAM: socket.IPPROTO_TCP,
          socket.SOCK_DGRAM: socket.IPPROTO_UDP}
_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC

VIEW_LENGTH = 1 << 20
_making = threading.Lock()  # of several receivers one makes the view


def _create(family: int, kind: int, proto: int) -> int:
    if family not in _PROTOCOLS:
        raise OSError(errno.EAFNOSUPPORT, "AF_INET or AF_INET6 only")
    if proto not in (0, -1, _KINDS.get(kind & ~_FLAGS)):
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    fd = int(lib.snap_socket(kind, _PROTOCOLS[family]))
    if fd == -errno.EAFNOSUPPORT:
        raise OSError(-fd, "the module snap is not loaded and could not be")
    return check(fd, "snap_socket")


def _address(raw: bytes) -> Any:
    """As recvfrom() has it; None from a stream, which tells nothing."""
    if len(raw) < 16:
        return None
    family, port = struct.unpack("=H", raw[:2])[0], struct.unpack("!H", raw[2:4])[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(family, raw[4:8]), port
    flow, = struct.unpack("!I", raw[4:8])
    scope, = struct.unpack("=I", raw[24:28])
    return socket.inet_ntop(family, raw[8:24]), port, flow, scope


class Socket(socket.socket):
    """A socket of AF_SNAP: a TCP or UDP socket that sends by reference.

    It is a socket.socket, with the same addresses, options and errors, and its
    peer may be any TCP or UDP socket. What it sends from a Region goes by
    reference where that is possible; everything else is copied, which is never an
    error.

    family  AF_INET or AF_INET6, of the addresses; what the socket shows
    type    SOCK_STREAM, of TCP, or SOCK_DGRAM, of UDP
    proto   0, or the type's own
    fileno  a descriptor of such a socket, which is the object's from now on

    accept() and dup() give a Socket. With asyncio: loop.sock_connect(),
    sock_sendall() and so on, asyncio.open_connection(sock=) after that,
    start_server(sock=) of a listening one, create_datagram_endpoint(sock=); it
    must not block (setblocking(False)). Of a stream in asyncio only what
    sock_sendall() has sent may be written again at once: transports may keep
    some of it to be sent later.

    Errors: OSError with EAFNOSUPPORT, the module is not loaded, or another
    family; ESOCKTNOSUPPORT, EPROTONOSUPPORT; EMFILE, ENOMEM.
    """

    _window: Window | None = None

    def __init__(self, family: int = socket.AF_INET,
                 type: int = socket.SOCK_STREAM, proto: int = 0,
                 fileno: int | None = None) -> None:
        if fileno is not None:
            super().__init__(fileno=fileno)
            return
        fd = _create(family, type, proto)
        try:
            super().__init__(family, type, -1, fd)
        except BaseException:
            os.close(fd)
            raise

    def accept(self) -> tuple[Socket, Any]:
        """As of socket.socket: (Socket, address)."""
        accepted, address = super().accept()
        return Socket(fileno=accepted.detach()), address

    def stats(self) -> SocketStats:
        """What went by reference, what was copied, and why: a SocketStats.

        Errors: OSError with ENOPROTOOPT, fileno was of another family.
        """
        return _stats.socket_stats(filled(
            snap_sock_stats, lambda out: lib.snap_socket_stats(self.fileno(), out),
            "snap_socket_stats"))

    @property
    def copybreak(self) -> int:
        """Bytes: shorter messages are copied. OSError with EINVAL: negative."""
        return check(lib.snap_get_copybreak(self.fileno()), "snap_get_copybreak")

    @copybreak.setter
    def copybreak(self, value: int) -> None:
        check(lib.snap_set_copybreak(self.fileno(), value), "snap_set_copybreak")

    def make_view(self, length: int = VIEW_LENGTH) -> None:
        """Gives the socket its view, a window of length bytes, 256 MiB at most.

        For once and all; recv_view() makes one of 1 MiB where none was made.
        What is in it is bounded by SO_RCVBUF as well.

        Errors: OSError with EEXIST, it has one; EINVAL, length; ENOPROTOOPT;
        ENOMEM.
        """
        if length <= 0:
            raise ValueError("the length of a view is positive")
        self._window = Window(self.fileno(), length)

    def recv_view(self, bufsize: int, flags: int = 0) -> Message:
        """As recv(), but bytes that arrived in frames stay there: a Message.

        bufsize  bytes at most; of a datagram the rest is lost
        flags    those of recv(2)

        At the end of a stream it is an empty Message. Blocks as the timeout of
        the socket says: BlockingIOError, TimeoutError. What nobody releases fills
        the view, and more is copied then. It may be read after close(), but of
        a connection the peer sees the end only when all of it is released. In a
        child of fork(2) the view is the parent's: PermissionError. Like memory
        of a region it is gone with the device: SIGBUS.

        Other errors: ValueError, bufsize; and those of recv().
        """
        return self.recvfrom_view(bufsize, flags)[0]

    def recvfrom_view(self, bufsize: int, flags: int = 0) -> tuple[Message, Any]:
        """As recv_view(), and the address of the sender as of recvfrom()."""
        if bufsize < 0:
            raise ValueError("bufsize is not negative")
        with _making:
            if self._window is None:
                self.make_view()
        window, timeout = self._window, self.gettimeout()
        assert window is not None
        end = None if not timeout else time.monotonic() + timeout
        while True:
            try:
                message, raw = window.receive(bufsize, flags)
                return message, _address(raw)
            except InterruptedError:
                continue  # the handlers of signals have run
            except BlockingIOError:
                if end is None or flags & socket.MSG_DONTWAIT:
                    raise
            self._wait(end)

    def _wait(self, end: float) -> None:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError("timed out")

    def close(self) -> None:
        """As of socket.socket. What was received by view stays."""
        self._window = None
        super().close()

    def detach(self) -> int:
        """As of socket.socket. The descriptor keeps no view that is of use."""
        self._window = None
        return super().detach()
