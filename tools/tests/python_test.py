#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Python module without a module in the kernel: memory files stand for
regions, snap-family.so, preloaded, for the family. selftests/socket/python-test.py
has the rest."""
import asyncio
import ctypes
import errno
import gc
import inspect
import os
import pydoc
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import snap
import snap.aio
from snap import _libsnap, _socket

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = 4096


def memory_file(pages):
    fd = os.memfd_create("python_test")
    os.ftruncate(fd, pages * PAGE)
    return fd


def region(pages=4):
    return snap.Region.from_fd(memory_file(pages), pages * PAGE)


def mapped():
    """How many mappings of memory files there are."""
    with open("/proc/self/maps", encoding="ascii") as maps:
        return maps.read().count("memfd:python_test")


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def compile_c(source, *how):
    subprocess.run(["cc", "-xc", "-", f"-I{TOP}/tools/libsnap/include",
                    f"-I{TOP}/uapi", *how], input=source, text=True, check=True)


class Binding(unittest.TestCase):
    def test_structures_are_those_of_the_headers(self):
        ours, lines = [], []
        for name, made in vars(_libsnap).items():
            if not (inspect.isclass(made) and issubclass(made, ctypes.Structure)):
                continue
            lines.append(f"(size_t)sizeof(struct {name})")
            ours.append(ctypes.sizeof(made))
            for field, *_ in made._fields_:
                lines.append(f"offsetof(struct {name}, {field})")
                ours.append(getattr(made, field).offset)
                lines.append(f"sizeof(((struct {name} *)0)->{field})")
                ours.append(getattr(made, field).size)
        constants = {
            "AF_SNAP": snap.AF_SNAP, "SNAPPROTO_IPV4": _libsnap.PROTO_IPV4,
            "SNAPPROTO_IPV6": _libsnap.PROTO_IPV6,
            "SNAP_BUFFER_ALIGN": snap.BUFFER_ALIGN,
            "SNAP_CONFLICTS_MAX": _libsnap.CONFLICTS_MAX,
            "SNAP_VIEW_PARTS_MAX": _libsnap.VIEW_PARTS_MAX,
            "SNAP_REASONS_ROOM": _libsnap.REASONS_ROOM,
            "SNAP_HINT_MAX": len(snap.Hint), "SNAP_REGION_ARGS_SPARSE": 1,
            "SNAP_F_ALL": sum(snap.Feature),
            **{f"SNAP_HINT_{hint.name}": hint for hint in snap.Hint},
            **{f"SNAP_F_{bit.name}": bit for bit in snap.Feature}}
        lines += [f"(size_t)({name})" for name in constants]
        ours += constants.values()
        with tempfile.TemporaryDirectory() as folder:
            compile_c("#include <snap/libsnap.h>\n#include <stdio.h>\nint main(void) {"
                      + "".join(f'printf("%zu\\n", {line});' for line in lines)
                      + "return 0; }", "-o", f"{folder}/abi")
            theirs = subprocess.run([f"{folder}/abi"], check=True, text=True,
                                    stdout=subprocess.PIPE).stdout.split()
        for line, mine, wanted in zip(lines, ours, map(int, theirs), strict=True):
            self.assertEqual(mine, wanted, line)

    def importing(self, source, *how):
        """What importing says when the library is this one."""
        with tempfile.TemporaryDirectory() as folder:
            compile_c(source, *how, "-o", f"{folder}/{_libsnap.SONAME}")
            return subprocess.run(
                [sys.executable, "-c", "import snap"], text=True, check=False,
                env={**os.environ, "LD_LIBRARY_PATH": folder, "LD_PRELOAD": ""},
                stderr=subprocess.PIPE).stderr

    def test_a_library_that_cannot_be_loaded_is_named(self):
        self.assertIn("ImportError: snap needs libsnap.so.0 (Debian package",
                      self.importing("int x;", "-c"))

    def test_an_older_library_is_said_to_be_older(self):
        self.assertIn("ImportError: libsnap.so.0 is older than this module",
                      self.importing("int x;", "-shared", "-fPIC"))

    def test_reasons_and_counters_have_their_names(self):
        stats = _libsnap.snap_stats(ncounters=3)
        stats.device[2] = 7
        stats.sockets.copied_msgs[0], stats.sockets.copied_bytes[0] = 2, 200
        stats.sockets.recv_msgs[1], stats.sockets.recv_bytes[1] = 3, 300
        read = snap._stats.stats(stats)
        self.assertEqual(read.device,
                         {"doorbells": 0, "takes": 0, "interrupts": 7})
        self.assertEqual(read.sockets.copied["short"], snap.Count(2, 200))
        self.assertEqual(read.sockets.received["not_frames"], snap.Count(3, 300))
        for names in read.sockets.copied, read.sockets.received:
            self.assertFalse([name for name in names if name.isdigit()])
        stats.sockets.copied_msgs[15] = 1  # of a module that is newer
        self.assertEqual(snap._stats.stats(stats).sockets.copied["15"],
                         snap.Count(1, 0))
        self.assertEqual(_libsnap.name(_libsnap.lib.snap_counter_name, 63), "63")

    @staticmethod
    def made(memory):
        """Something of the library's, which is overwritten when it is freed."""
        def make(out):
            out._obj.value = ctypes.addressof(memory)
            return 0

        return _libsnap.Owned(make, lambda place: ctypes.memset(
            place, 0xff, ctypes.sizeof(memory)), "making")

    def test_what_was_read_stays_when_the_object_goes(self):
        memory = _libsnap.snap_region(fd=7)
        owned = self.made(memory)
        read = owned.read(_libsnap.snap_region)
        del owned
        gc.collect()
        self.assertEqual(memory.fd, -1)
        self.assertEqual(read.fd, 7)

    def test_another_thread_closes_after_one_has_looked(self):
        class Closed:
            """From the second look on."""
            def __init__(self, owned):
                self.seen = [None, owned]

            @property
            def _owned(self):
                return self.seen.pop() if self.seen else None

        memory = _libsnap.snap_region()
        for kind in snap.Device, snap.Region, snap.Snapshot:
            owned = self.made(memory)
            self.assertIs(kind._handle(Closed(owned)), owned)

    def test_all_that_is_public_is_documented(self):
        for name in snap.__all__:
            made = getattr(snap, name)
            if isinstance(made, int):
                continue
            self.assertTrue(made.__doc__, name)
            members = vars(made) if inspect.isclass(made) else {}
            for member, what in members.items():
                if not member.startswith("_") and (callable(what)
                                                   or isinstance(what, property)):
                    self.assertTrue(inspect.getdoc(what), f"{name}.{member}")
        text = pydoc.render_doc(snap, renderer=pydoc.plaintext)
        for name in snap.__all__:
            self.assertIn(name, text)


class Devices(unittest.TestCase):
    def opening(self, path):
        os.environ["SNAP_DEVICE"] = path
        self.addCleanup(os.environ.pop, "SNAP_DEVICE")
        return snap.Device()

    def test_no_module_is_said(self):
        with self.assertRaisesRegex(FileNotFoundError,
                                    "module snap is not loaded: '/nowhere'"):
            self.opening("/nowhere")

    def test_another_file_is_refused(self):
        before = descriptors()
        with self.assertRaisesRegex(OSError, "not the device") as caught:
            self.opening("/dev/null")
        self.assertEqual(caught.exception.errno, errno.ENOTTY)
        self.assertEqual(descriptors(), before)


class Regions(unittest.TestCase):
    def setUp(self):
        gc.collect()
        self.before = mapped(), descriptors()

    def tearDown(self):
        gc.collect()
        self.assertEqual((mapped(), descriptors()), self.before)

    def test_is_memory(self):
        with region() as memory:
            memory[:3] = b"abc"
            memory.seek(PAGE)
            memory.write(b"def")
            self.assertEqual(memoryview(memory)[:3], b"abc")
            self.assertEqual(os.pread(memory.fileno(), 3, PAGE), b"def")
            self.assertEqual((len(memory), memory.size()), (4 * PAGE, 4 * PAGE))
            self.assertFalse(memoryview(memory).readonly)

    def test_is_not_closed_under_a_buffer(self):
        memory = region()
        view = memoryview(memory)[PAGE:]
        with self.assertRaises(BufferError):
            memory.close()
        with self.assertRaises(BufferError), memory:
            pass
        view[0] = 1
        view.release()
        memory.close()
        memory.close()

    def test_lives_as_long_as_its_buffers(self):
        memory = region()
        view, piece = memoryview(memory), memory.buffer(10)
        part = piece[2:4]
        del memory, piece
        gc.collect()
        view[-1] = 1
        part[0] = 2
        self.assertEqual(view[2], 2)

    def test_cycles_are_collected(self):
        memory = region()
        memory.itself = [memory, memoryview(memory), memory.buffer(1)]

    def test_after_close_all_is_a_value_error(self):
        memory, other = region(), region()
        memory.close()
        for use in (memory.fileno, memory.size, memory.info, memory.adopt,
                    memory.snapshot, memory.read,
                    lambda: memory.buffer(1), lambda: memory.discard(0, PAGE),
                    lambda: memory.commit(None, 1), lambda: memory[0],
                    lambda: memory.merge(None, None), lambda: memoryview(memory)):
            with self.assertRaises(ValueError):
                use()
        other.close()

    def test_wrong_arguments(self):
        with region() as memory:
            for length in 0, -1:
                with self.assertRaises(ValueError):
                    memory.buffer(length)
                with self.assertRaises(ValueError):
                    snap.Region(None, length)
            for range_ in (-1, PAGE), (0, -1):
                with self.assertRaises(ValueError):
                    memory.discard(*range_)
            with self.assertRaises(OSError) as caught:
                snap.Region.from_fd(memory.fileno(), 1)
            self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_what_fails_keeps_no_descriptor(self):
        fd = memory_file(1)
        for make in snap.Region.from_fd, snap.Snapshot.from_fd:
            with self.assertRaises(OSError) as caught:
                make(fd)
            self.assertEqual(caught.exception.errno, errno.ENOTTY)
        os.close(fd)  # it is still ours

    def test_a_descriptor_stays_the_callers_if_python_cannot_map_it(self):
        fd = memory_file(1)
        with self.assertRaises(ValueError):
            snap.Region.from_fd(fd, 2 * PAGE)  # longer than the file
        os.close(fd)

    def test_buffers_share_no_page_and_go_back(self):
        memory = region(3)
        address = [ctypes.addressof(ctypes.c_char.from_buffer(memory))]
        buffers = [memory.buffer(length) for length in (1, PAGE, 100)]
        address += [ctypes.addressof(ctypes.c_char.from_buffer(piece))
                    for piece in buffers]
        self.assertEqual([at - address[0] for at in address[1:]],
                         [0, PAGE, 2 * PAGE])
        with self.assertRaises(OSError) as caught:
            memory.buffer(1)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        part = buffers[1][5:6]
        buffers[1].release()
        with self.assertRaises(OSError):
            memory.buffer(1)
        with self.assertRaises(BufferError):
            memory.close()
        part.release()
        buffers[1] = memory.buffer(PAGE)
        self.assertEqual([len(piece) for piece in buffers], [1, PAGE, 100])
        del buffers
        memory.close()

    @staticmethod
    def child_of(memory, piece):
        """Its exit status: 0 if it could do what a child can."""
        try:
            memory.buffer(1)
            return 1
        except PermissionError:
            pass
        piece.release()
        memory.adopt()
        try:
            memory.buffer(2 * PAGE)
            return 2  # the parent's buffer went with the child's view of it
        except OSError:
            memory.buffer(PAGE)
            return 0

    def test_a_child_leaves_the_buffers_to_its_parent(self):
        memory = region(2)
        piece = memory.buffer(1)
        child = os.fork()
        if child == 0:
            os._exit(self.child_of(memory, piece))
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        with self.assertRaises(OSError):
            memory.buffer(2 * PAGE)
        piece.release()
        memory.buffer(2 * PAGE)

    def test_threads_allocate_at_once_and_one_closes(self):
        memory, wrong = region(64), []

        def use(number):
            try:
                for _ in range(200):
                    with memory.buffer(PAGE) as piece:
                        piece[:] = bytes([number]) * PAGE
                        if bytes(piece) != bytes([number]) * PAGE:
                            wrong.append(number)
                while True:
                    memory.info()
            except ValueError:
                pass
            except OSError as error:
                if error.errno == errno.ENOTTY:  # info() of a memory file
                    return
                wrong.append(error)

        threads = [threading.Thread(target=use, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Messages(unittest.TestCase):
    def test_pieces(self):
        whole = snap.Message((memoryview(b"abc"),), 3)
        some = snap.Message((memoryview(b"ab"), memoryview(b"c")), 2)
        for message in whole, some:
            self.assertEqual((bytes(message), len(message)), (b"abc", 3))
            self.assertEqual(message.memory, b"abc")
        self.assertFalse(snap.Message((), 0))
        self.assertEqual(snap.Message((), 0).memory, b"")

    def test_released_pieces_are_gone_and_views_of_them_stay(self):
        message = snap.Message((memoryview(bytearray(b"abc")),), 3)
        memory = message.memory
        with message:
            pass
        message.release()
        with self.assertRaises(ValueError):
            message.pieces[0][0]
        self.assertEqual(memory, b"abc")

    def test_addresses(self):
        four = b"\2\0\x1b\x58\x0a\x4d\0\1" + bytes(8)
        six = (b"\x0a\0\x1b\x58\0\0\0\5" + socket.inet_pton(socket.AF_INET6, "fd77::1")
               + b"\3\0\0\0")
        self.assertEqual(_socket._address(four), ("10.77.0.1", 7000))
        self.assertEqual(_socket._address(six), ("fd77::1", 7000, 5, 3))
        self.assertIsNone(_socket._address(b""))


class Sockets(unittest.TestCase):
    def listening(self):
        listener = snap.Socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener

    def test_is_a_socket(self):
        for family in socket.AF_INET, socket.AF_INET6:
            for kind, proto in ((socket.SOCK_STREAM, socket.IPPROTO_TCP),
                                (socket.SOCK_DGRAM, socket.IPPROTO_UDP)):
                with snap.Socket(family, kind, proto) as sock, sock.dup() as other:
                    for made in sock, other:
                        self.assertIsInstance(made, snap.Socket)
                        self.assertEqual((made.family, made.type, made.proto),
                                         (family, kind, proto))
                        self.assertFalse(made.get_inheritable())

    def test_flags_of_the_type(self):
        with snap.Socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            self.assertEqual((sock.type, sock.gettimeout()), (socket.SOCK_DGRAM, 0))
            self.assertFalse(os.get_blocking(sock.fileno()))

    def test_what_there_is_not(self):
        os.environ["SNAP_FAMILY"] = "none"
        with self.assertRaisesRegex(OSError, "snap is not loaded") as caught:
            snap.Socket()
        self.assertEqual(caught.exception.errno, errno.EAFNOSUPPORT)
        os.environ["SNAP_FAMILY"] = "streams"
        with self.assertRaises(OSError) as caught:
            snap.Socket(type=socket.SOCK_DGRAM)
        self.assertEqual(caught.exception.errno, errno.ESOCKTNOSUPPORT)
        del os.environ["SNAP_FAMILY"]
        for wrong, number in (((socket.AF_UNIX,), errno.EAFNOSUPPORT),
                              ((socket.AF_INET, socket.SOCK_STREAM,
                                socket.IPPROTO_UDP), errno.EPROTONOSUPPORT)):
            with self.assertRaises(OSError) as caught:
                snap.Socket(*wrong)
            self.assertEqual(caught.exception.errno, number)

    def test_of_another_family(self):
        with snap.Socket(fileno=socket.socket(socket.AF_UNIX).detach()) as sock:
            for use in (sock.stats, sock.make_view, lambda: sock.recv_view(1),
                        lambda: sock.copybreak):
                before = descriptors()
                with self.assertRaises(OSError) as caught:
                    use()
                self.assertIn(caught.exception.errno,
                              (errno.ENOPROTOOPT, errno.EOPNOTSUPP))
                del caught
                self.assertEqual(descriptors(), before)

    def test_accepts_its_like(self):
        listener = self.listening()
        with snap.Socket() as client:
            client.connect(listener.getsockname())
            accepted, address = listener.accept()
            with accepted:
                self.assertIsInstance(accepted, snap.Socket)
                self.assertEqual(address, client.getsockname())
                client.sendall(b"abc")
                self.assertEqual(accepted.recv(3, socket.MSG_WAITALL), b"abc")
            stats = client.stats()
        self.assertEqual((stats.tx_ref_bytes, stats.tx_copied_msgs), (2, 1))
        self.assertEqual(stats.copied["short"], snap.Count(1, 1))
        self.assertEqual(stats.rx_copied_bytes, 3)

    def test_asyncio_streams(self):
        listener = self.listening()

        async def serve(reader, writer):
            self.assertIsInstance(writer.get_extra_info("socket")._sock, snap.Socket)
            writer.write(await reader.readexactly(100000))
            await writer.drain()
            writer.close()

        async def echo():
            with region(32) as memory:
                async with await asyncio.start_server(serve, sock=listener):
                    sock = snap.Socket()
                    sock.setblocking(False)
                    loop = asyncio.get_running_loop()
                    await loop.sock_connect(sock, listener.getsockname())
                    memory[:100000] = b"x" * 100000
                    with memoryview(memory)[:100000] as view:
                        await loop.sock_sendall(sock, view)
                    memory[:] = bytes(len(memory))
                    reader, writer = await asyncio.open_connection(sock=sock)
                    back = await reader.readexactly(100000)
                    writer.close()
                    await writer.wait_closed()
            self.assertEqual(back, b"x" * 100000)

        asyncio.run(asyncio.wait_for(echo(), 60))

    def test_asyncio_datagrams(self):
        class Peer(asyncio.DatagramProtocol):
            def __init__(self):
                self.got = asyncio.get_running_loop().create_future()

            def datagram_received(self, data, addr):
                self.got.set_result(data)

        async def send():
            loop = asyncio.get_running_loop()
            sock = snap.Socket(type=socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
            transport, peer = await loop.create_datagram_endpoint(Peer, sock=sock)
            transport.sendto(b"abc", sock.getsockname())
            self.assertEqual(await peer.got, b"abc")
            transport.close()

        asyncio.run(asyncio.wait_for(send(), 60))

    def test_asyncio_views_do_not_block(self):
        with snap.Socket() as sock, self.assertRaises(ValueError):
            asyncio.run(snap.aio.sock_recv_view(sock, 1))


if __name__ == "__main__":
    unittest.main()
