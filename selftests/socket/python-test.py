#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The Python module in the guest, as TAP: by reference and by view, versions of
regions, and what is closed or dropped in the wrong order. python.sh starts it."""
import asyncio
import errno
import gc
import os
import random
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import unittest
import warnings

import snap
import snap.aio

PAGE = 4096
MESSAGE = 60000
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
HOST = "10.77.0.1"


def pattern(number, length=MESSAGE):
    return bytes([number % 251]) * length


def errno_of(test, what, *arguments):
    with test.assertRaises(OSError) as caught:
        what(*arguments)
    return caught.exception.errno


def datagram_pair(family=socket.AF_INET):
    receiver = snap.Socket(family, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    receiver.settimeout(20)
    sender = snap.Socket(family, socket.SOCK_DGRAM)
    sender.connect(receiver.getsockname())
    return sender, receiver


def stream_pair():
    with snap.Socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = snap.Socket()
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    for sock in client, server:
        sock.settimeout(20)
    return client, server


def receive_all(sock, length=MESSAGE):
    """Of a socket with a timeout, for which MSG_WAITALL does not wait."""
    got = b""
    while len(got) < length:
        part = sock.recv(length - len(got))
        if not part:
            break
        got += part
    return got


class Case(unittest.TestCase):
    """After each, all frames are home: of sockets, snapshots and regions."""

    device = snap.Device()

    def frames(self):
        gc.collect()
        info = self.device.info()
        return info.out_frames, info.used_frames

    def setUp(self):
        self.before = self.frames()
        self.region = snap.Region(self.device, 64 * PAGE)

    def tearDown(self):
        self.region = None
        end = time.monotonic() + 10
        while self.frames() > self.before and time.monotonic() < end:
            time.sleep(0.05)
        self.assertLessEqual(self.frames(), self.before)


class Example(Case):
    def blocks(self):
        with open(f"{TOP}/Documentation/python.rst", encoding="utf-8") as page:
            text = page.read().split("\nExample\n")[1].split("\nWhat is what\n")[0]
        return [textwrap.dedent(block) for block in
                re.findall(r"::\n\n((?:    .*\n|\n)+)", text)]

    def run_program(self, program):
        done = subprocess.run([sys.executable, "-c", program], text=True, timeout=60,
                              stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.strip(), self.blocks()[1].strip())

    def test_of_the_documentation(self):
        program = self.blocks()[0]
        self.assertIn("by reference 3", self.blocks()[1])
        self.assertLessEqual(program.strip().count("\n"), 18)
        before = self.device.stats().sockets
        self.run_program(program)
        after = self.device.stats().sockets
        self.assertEqual(after.tx_ref_msgs - before.tx_ref_msgs, 3)
        self.assertEqual(after.tx_ref_bytes - before.tx_ref_bytes, 3 * 32768)

    def test_of_the_documentation_with_numpy(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        numpys = self.blocks()[2].strip()
        program, found = re.subn("^array = .*", numpys, self.blocks()[0], flags=re.M)
        self.assertEqual(found, 1)
        self.run_program("import numpy\n" + program)
        array = numpy.frombuffer(self.region, "u1")[5:]
        with self.assertRaises(BufferError):
            self.region.close()
        array[0] = 3
        self.assertEqual(self.region[5], 3)


class Regions(Case):
    def test_device_tells(self):
        info, stats = self.device.info(), self.device.stats()
        self.assertIn(snap.Feature.SNAPSHOT, info.features)
        self.assertEqual(info.frame_bytes, PAGE)
        self.assertGreater(info.pool_frames, info.free_frames)
        self.assertGreater(stats.device["doorbells"], 0)
        self.assertNotIn("64", stats.device)
        with snap.Device() as device:
            self.assertGreater(device.fileno(), 0)
        self.assertRaises(ValueError, device.info)
        self.assertRaises(ValueError, snap.Region, device, 1)

    def test_region_is_charged_and_goes(self):
        used = self.device.info().used_frames
        region = snap.Region(self.device, 100 * PAGE - 1, snap.Hint.KEEP)
        self.assertEqual(len(region), 100 * PAGE)
        self.assertEqual(region[:], bytes(100 * PAGE))
        self.assertGreaterEqual(self.device.info().used_frames, used + 100)
        region.close()
        self.assertEqual(self.device.info().used_frames, used)

    def test_sparse_takes_frames_later(self):
        region = snap.Region(self.device, 100 * PAGE, sparse=True)
        self.assertEqual(region.info().populated_frames, 0)
        region[0] = 1
        self.assertEqual(region.info().populated_frames, 1)
        region.discard(0, PAGE)
        self.assertEqual((region[0], region.info().populated_frames), (0, 0))

    def test_errors_are_errno(self):
        make = snap.Region
        self.assertEqual(errno_of(self, make, self.device, PAGE, 9), errno.EINVAL)
        self.assertIn(errno_of(self, make, self.device, 1 << 40),
                      (errno.ENOSPC, errno.EDQUOT))
        self.assertEqual(errno_of(self, self.region.discard, 1, PAGE), errno.EINVAL)
        self.assertEqual(errno_of(self, snap.Snapshot.from_fd, self.region.fileno()),
                         errno.EINVAL)

    def test_another_process_maps_it(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(ours, [b"x"], [self.region.fileno()])
            _, (fd,), _, _ = socket.recv_fds(theirs, 1, 1)
        child = os.fork()
        if child == 0:
            snap.Region.from_fd(fd)[:3] = b"abc"
            os._exit(0)
        os.close(fd)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.region[:3], b"abc")

    def test_lives_as_long_as_its_buffers(self):
        view = memoryview(self.region)
        self.assertRaises(BufferError, self.region.close)
        self.region = None
        gc.collect()
        view[-1] = 7
        self.assertEqual(view[-1], 7)


class Sending(Case):
    def check_old_bytes(self, sender, receive, count=20):
        """What is sent is overwritten at once; what arrives are the old bytes."""
        memory = memoryview(self.region)[:MESSAGE]
        for number in range(count):
            memory[:] = pattern(number)
            sender.sendall(memory)
            memory[:] = pattern(250)
            self.assertEqual(receive(), pattern(number))
        stats = sender.stats()
        self.assertEqual(stats.tx_ref_bytes, count * MESSAGE)
        self.assertEqual(stats.tx_copied_bytes, 0)

    def test_datagrams(self):
        for family in socket.AF_INET, socket.AF_INET6:
            sender, receiver = datagram_pair(family)
            with sender, receiver:
                self.check_old_bytes(sender, lambda: receiver.recv(MESSAGE))

    def test_datagrams_to_the_host(self):
        port = os.environ.get("SNAP_HOST_ECHO")
        if not port:
            self.skipTest("no echo server at the host's end")
        with snap.Socket(type=socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.connect((HOST, int(port)))
            self.check_old_bytes(sock, lambda: sock.recv(MESSAGE))

    def test_streams(self):
        client, server = stream_pair()
        with client, server:
            self.check_old_bytes(client, lambda: receive_all(server))

    def test_streams_to_the_host(self):
        port = os.environ.get("SNAP_HOST_STREAM")
        if not port:
            self.skipTest("no echo server at the host's end")
        with snap.Socket() as sock:
            sock.settimeout(20)
            sock.connect((HOST, int(port)))
            self.check_old_bytes(sock, lambda: receive_all(sock))

    def test_what_is_copied_has_its_reason(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            sender.copybreak = 5000
            self.assertEqual(sender.copybreak, 5000)
            sender.send(memoryview(self.region)[:4999])
            sender.send(bytes(5000))
            sender.send(memoryview(self.region)[:5000])
            stats = sender.stats()
            self.assertEqual(stats.copied["short"], snap.Count(1, 4999))
            self.assertEqual(stats.copied["not_region"], snap.Count(1, 5000))
            self.assertEqual(stats.tx_ref_bytes, 5000)
            with self.assertRaises(OSError) as caught:
                sender.copybreak = -1
            self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_buffers_threads_and_views(self):
        """Threads that send from buffers of one region, freed at once; others
        that read what arrived in its place."""
        wrong = []

        def send(sock):
            for number in range(20):
                with self.region.buffer(MESSAGE) as memory:
                    memory[:] = pattern(number)
                    sock.sendall(memory)
                    memory[:] = pattern(250)

        def receive(sock):
            rest = b""
            for number in range(20):
                while len(rest) < MESSAGE:
                    with sock.recv_view(MESSAGE) as message:
                        rest += bytes(message)
                if rest[:MESSAGE] != pattern(number):
                    wrong.append(number)
                rest = rest[MESSAGE:]

        pairs = [stream_pair() for _ in range(2)]
        threads = [threading.Thread(target=what, args=(sock,)) for pair in pairs
                   for what, sock in zip((send, receive), pair)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        for client, server in pairs:
            self.assertEqual(client.stats().tx_ref_bytes, 20 * MESSAGE)
            client.close()
            server.close()


class Views(Case):
    def send(self, sender, number, length=MESSAGE):
        with memoryview(self.region)[:length] as memory:
            memory[:] = pattern(number, length)
            sender.sendall(memory)
            memory[:] = pattern(250, length)

    def test_bytes_stay_where_they_are(self):
        for family in socket.AF_INET, socket.AF_INET6:
            sender, receiver = datagram_pair(family)
            with sender, receiver:
                self.send(sender, 1)
                message, address = receiver.recvfrom_view(65536)
                self.assertEqual(address, sender.getsockname())
                self.assertEqual(bytes(message), pattern(1))
                self.assertGreaterEqual(message.viewed, MESSAGE - PAGE)
                self.assertEqual(message.viewed, receiver.stats().rx_viewed_bytes)
                self.assertTrue(all(piece.readonly for piece in message.pieces))
                self.assertTrue(message.memory.readonly)
                with self.assertRaises(TypeError):
                    message.pieces[0][0] = 1

    def test_frames_come_home_with_the_last_view(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            self.send(sender, 1)
            message = receiver.recv_view(65536)
            out = self.device.info().out_frames
            self.assertGreaterEqual(out, MESSAGE // PAGE)
            slice_ = message.pieces[0][5:10]
            message.release()
            message.release()
            with self.assertRaises(ValueError):
                message.pieces[0][0]
            self.assertEqual(slice_, pattern(1, 5))
            self.assertEqual(self.device.info().out_frames, out)
            del slice_
            end = time.monotonic() + 10
            while (self.device.info().out_frames > self.before[0]
                   and time.monotonic() < end):
                time.sleep(0.01)
            self.assertEqual(self.device.info().out_frames, self.before[0])

    def test_many_messages_at_once(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            receiver.make_view(1 << 22)
            self.assertEqual(errno_of(self, receiver.make_view), errno.EEXIST)
            kept = []
            for number in range(20):
                self.send(sender, number)
                kept.append(receiver.recv_view(65536))
            for number in random.Random(1).sample(range(20), 20):
                self.assertEqual(bytes(kept[number]), pattern(number))
                kept[number].release()

    def test_a_full_view_copies(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            receiver.make_view(16 * PAGE)
            kept = []
            for number in range(3):
                self.send(sender, number)
                kept.append(receiver.recv_view(65536))
            self.assertEqual([bytes(message) for message in kept],
                             [pattern(number) for number in range(3)])
            self.assertGreater(kept[0].viewed, 0)
            self.assertEqual(kept[2].viewed, 0)
            self.assertGreater(receiver.stats().received["full"].bytes, MESSAGE)

    def test_streams_come_in_pieces_and_end(self):
        client, server = stream_pair()
        with server:
            with client:
                for number in range(4):
                    self.send(client, number)
            got = viewed = b""
            while message := server.recv_view(1 << 18):
                with message:
                    got += bytes(message)
                    viewed += b"x" * message.viewed
            self.assertEqual(got, b"".join(map(pattern, range(4))))
            self.assertGreater(len(viewed), MESSAGE)

    def test_flags_and_lengths(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            self.send(sender, 1)
            peeked = receiver.recv_view(65536, socket.MSG_PEEK)
            self.assertEqual((bytes(peeked), peeked.viewed), (pattern(1), 0))
            self.assertEqual(bytes(receiver.recv_view(10000, socket.MSG_TRUNC)),
                             pattern(1, 10000))
            self.send(sender, 2)
            self.assertEqual(bytes(receiver.recv_view(0)), b"")
            sender.send(b"")
            message = receiver.recv_view(10)
            self.assertEqual((message.pieces, message.memory), ((), b""))
            self.assertRaises(ValueError, receiver.recv_view, -1)
            self.assertRaises(ValueError, receiver.make_view, 0)

    def test_time_is_that_of_the_socket(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            receiver.settimeout(0.05)
            self.assertRaises(TimeoutError, receiver.recv_view, 10)
            self.assertRaises(BlockingIOError, receiver.recv_view, 10,
                              socket.MSG_DONTWAIT)
            receiver.setblocking(False)
            self.assertRaises(BlockingIOError, receiver.recv_view, 10)

    def test_signals_are_handled_while_it_waits(self):
        class Ended(Exception):
            pass

        def end(*_):
            ends.append(1)
            if len(ends) > 2:
                raise Ended

        ends = []
        sender, receiver = datagram_pair()
        before = signal.signal(signal.SIGALRM, end)
        with sender, receiver:
            receiver.settimeout(None)
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            try:
                with self.assertRaises(Ended):
                    receiver.recv_view(10)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)

    def test_messages_outlive_their_socket(self):
        client, server = stream_pair()
        self.send(client, 1)
        with client:
            message = server.recv_view(65536)
            self.assertGreater(message.viewed, 0)
            server.close()
            self.assertEqual(bytes(message), pattern(1, len(message)))
            client.settimeout(0.2)
            self.assertRaises(TimeoutError, client.recv, 1)
            del message
            client.settimeout(20)
            self.assertEqual(client.recv(1), b"")

    def test_threads_share_a_socket(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            got, ready = [], threading.Barrier(9)

            def receive():
                ready.wait()
                got.append(receiver.recv_view(65536))

            threads = [threading.Thread(target=receive) for _ in range(8)]
            for thread in threads:
                thread.start()
            ready.wait()
            for number in range(8):
                self.send(sender, number, 4 * PAGE)  # all may have to wait unread
            for thread in threads:
                thread.join()
            self.assertEqual({bytes(message) for message in got},
                             {pattern(number, 4 * PAGE) for number in range(8)})

    def test_children_leave_them_alone(self):
        sender, receiver = datagram_pair()
        with sender, receiver:
            self.send(sender, 1)
            message = receiver.recv_view(65536)
            self.assertEqual(message.pieces[0][0], 1)
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    receiver.recv_view(10)
                except PermissionError:
                    status = 0
                message.release()
                receiver.close()
                os._exit(status)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertEqual(bytes(message), pattern(1))


class Snapshots(Case):
    def test_keeps_what_was(self):
        self.region[:5] = b"hello"
        snapshot = self.region.snapshot()
        self.region[:5] = b"later"
        self.assertEqual((snapshot.map()[:5], snapshot.read(0, 5)),
                         (b"hello", b"hello"))
        self.assertEqual(len(snapshot.read()), len(snapshot))
        self.assertEqual(snapshot.read(len(snapshot)), b"")
        self.assertRaises(ValueError, snapshot.read, -1)
        self.assertRaises(ValueError, snapshot.read, 0, len(snapshot) + 1)
        self.assertTrue(snapshot.map().readonly)
        with snap.Snapshot.from_fd(os.dup(snapshot.fileno())) as same:
            self.assertEqual((same.version, same.read(0, 5)),
                             (snapshot.version, b"hello"))
        self.assertEqual(snapshot.info().length, len(snapshot))

    def test_is_not_closed_under_a_view(self):
        self.region[0] = 1
        with self.region.snapshot() as snapshot:
            view = snapshot.map()[:1]
            self.assertRaises(BufferError, snapshot.close)
            self.assertEqual(view[0], 1)
            view.release()
        for use in (snapshot.map, snapshot.read, snapshot.fileno, snapshot.clone,
                    lambda: snapshot.version, lambda: len(snapshot),
                    lambda: self.region.commit(snapshot, 1)):
            self.assertRaises(ValueError, use)
        snapshot.close()
        view = self.region.snapshot().map()
        self.region.close()
        gc.collect()
        self.assertEqual(view[0], 1)

    def test_differences(self):
        first = self.region.snapshot()
        for page in 3, 60:
            self.region[page * PAGE + 5] = 1
        self.assertEqual(first.diff(self.region.snapshot()), [3 * PAGE, 60 * PAGE])
        self.assertEqual(first.diff(first), [])
        other = snap.Region(self.device, PAGE).snapshot()
        self.assertEqual(errno_of(self, first.diff, other), errno.EINVAL)

    def test_clone_and_commit(self):
        self.region[:3] = b"old"
        base = self.region.snapshot()
        work = base.clone()
        work[:3] = b"new"
        self.assertEqual(self.region[:3], b"old")
        version = self.region.commit(work.snapshot(), base.version)
        self.assertEqual(self.region[:3], b"new")
        self.assertEqual(self.region.info().version, version)
        with self.assertRaises(snap.StaleError) as caught:
            self.region.commit(base, base.version)
        self.assertEqual((caught.exception.errno, caught.exception.conflicts),
                         (errno.ESTALE, ()))
        self.assertEqual(self.region[:3], b"new")

    def test_merge(self):
        base = self.region.snapshot()
        work = base.clone()
        work[0], self.region[PAGE] = 1, 2
        self.region.merge(base, work.snapshot())
        self.assertEqual((self.region[0], self.region[PAGE]), (1, 2))
        base = self.region.snapshot()
        work = base.clone()
        for at in 16, 5 * PAGE + 8:
            work[at], self.region[at] = 3, 4
        with self.assertRaises(snap.StaleError) as caught:
            self.region.merge(base, work.snapshot())
        self.assertEqual(caught.exception.conflicts, (16, 5 * PAGE + 8))
        self.assertEqual(self.region[16], 4)


class Asyncio(Case):
    def test_echo(self):
        """A server of asyncio's, a client that sends by reference and receives by
        view."""
        async def serve(reader, writer):
            self.assertIsInstance(writer.get_extra_info("socket")._sock, snap.Socket)
            while data := await reader.read(1 << 20):
                writer.write(data)
                await writer.drain()
            writer.close()

        async def client(address):
            loop, memory = asyncio.get_running_loop(), memoryview(self.region)
            with snap.Socket() as sock, memory:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
                for number in range(8):
                    memory[:] = pattern(number, len(memory))
                    await loop.sock_sendall(sock, memory)
                    memory[:] = pattern(250, len(memory))
                    got = b""
                    while len(got) < len(memory):
                        with await snap.aio.sock_recv_view(sock, 65536) as message:
                            got += bytes(message)
                    self.assertEqual(got, pattern(number, len(memory)))
                self.assertEqual(sock.stats().tx_ref_bytes, 8 * len(memory))

        async def both():
            listener = snap.Socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            async with await asyncio.start_server(serve, sock=listener) as server:
                await asyncio.gather(*(
                    client(server.sockets[0].getsockname()) for _ in range(2)))

        asyncio.run(asyncio.wait_for(both(), 60))


class WrongOrder(Case):
    def test_all_at_random(self):
        """Whatever is closed, dropped or released first: what can be read is right,
        and nothing crashes."""
        dice, things = random.Random(2), []
        sender, receiver = datagram_pair()

        def message(number):
            with memoryview(self.region)[:MESSAGE] as memory:
                memory[:] = pattern(number)
                sender.send(memory)
            return receiver.recv_view(65536)

        def make(number):
            kind = dice.randrange(4)
            if kind == 0:
                made = snap.Region(self.device, 4 * PAGE)
                made[:10] = pattern(number, 10)
                return made, memoryview(made)
            if kind == 1:
                with snap.Region(self.device, 4 * PAGE) as region:
                    region[:10] = pattern(number, 10)
                    made = region.snapshot()
                return made, made.map()
            if kind == 2:
                region = snap.Region(self.device, 4 * PAGE)
                made = region.buffer(2 * PAGE)
                made[:10] = pattern(number, 10)
                return region, made
            made = message(number)
            return made, made.pieces[0][:]

        def end(thing, view):
            how = dice.randrange(3)
            try:
                if how == 0:
                    getattr(thing, "close", getattr(thing, "release", None))()
                elif how == 1:
                    view.release()
            except BufferError:
                pass

        for number in range(400):
            if dice.random() < 0.5 or not things:
                things.append((number, *make(number)))
                continue
            which = dice.randrange(len(things))
            made, thing, view = things[which]
            self.assertEqual(view[:10], pattern(made, 10))
            end(thing, view)
            del things[which], thing, view
        sender.close()
        receiver.close()
        for made, _, view in things:
            self.assertEqual(view[:10], pattern(made, 10))

    def test_a_program_may_end_with_all_of_it(self):
        program = textwrap.dedent("""
            import atexit
            atexit.register(lambda: print(part[0], shown[0], buffer[0]))
            import socket, snap
            device = snap.Device()
            region = snap.Region(device, 1 << 17)
            region.itself = region
            buffer, view = region.buffer(60000), memoryview(region)
            shown = region.snapshot().map()
            receiver = snap.Socket(type=socket.SOCK_DGRAM)
            receiver.bind(("127.0.0.1", 0))
            sender = snap.Socket(type=socket.SOCK_DGRAM)
            sender.sendto(buffer, receiver.getsockname())
            message = receiver.recv_view(65536)
            assert message.viewed
            part = message.memory[1:]
            """)
        done = subprocess.run([sys.executable, "-c", program], text=True, check=False,
                              timeout=60, capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "0 0 0\n", ""))

    def test_cycles_are_collected(self):
        sender, receiver = datagram_pair()
        with memoryview(self.region)[:MESSAGE] as memory:
            sender.send(memory)
        message = receiver.recv_view(65536)
        snapshot = self.region.snapshot()
        message.itself = [message, receiver, snapshot, snapshot.map()]
        self.region.itself = [self.region, self.region.buffer(1), message]
        sender.close()
        del message, snapshot, receiver
        self.region = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a socket that nobody has closed
            gc.collect()


class Tap(unittest.TestResult):
    """A line for each test, in the manner of kselftest."""

    def startTest(self, test):
        super().startTest(test)
        self.outcome = ""

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome = f" # SKIP {reason}"

    def stopTest(self, test):
        super().stopTest(test)
        wrong = [text for which, text in self.failures + self.errors if which is test]
        name = test.id().removeprefix("__main__.").replace("test_", "")
        print("not ok" if wrong else "ok", self.testsRun, name + self.outcome)
        for text in wrong:
            print(textwrap.indent(text, "# "))
        sys.stdout.flush()


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"TAP version 13\n1..{suite.countTestCases()}", flush=True)
    sys.exit(not suite.run(Tap()).wasSuccessful())
