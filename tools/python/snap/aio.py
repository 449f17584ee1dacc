# SPDX-License-Identifier: LGPL-2.1-or-later
"""Receiving by view in asyncio. Everything else is asyncio's own: see Socket."""
from __future__ import annotations

import asyncio

from ._socket import Socket
from ._view import Message

__all__ = ["sock_recv_view"]


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # it may be called once more before the reader goes
        ready.set_result(None)


async def sock_recv_view(sock: Socket, bufsize: int, flags: int = 0) -> Message:
    """Socket.recv_view() as a coroutine, as loop.sock_recv() is of recv().

    sock must not block, nor have a transport.

    Errors: ValueError, sock blocks; RuntimeError, it has a transport; those of
    Socket.recv_view().
    """
    if sock.gettimeout() != 0:
        raise ValueError("the socket must be non-blocking")
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.recv_view(bufsize, flags)
        except BlockingIOError:
            pass
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(sock, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(sock)
