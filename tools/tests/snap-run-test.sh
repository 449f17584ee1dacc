#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# snap-run from outside, with and without a family to map to: TAP.
set -euo pipefail

build=$(cd "${1:?usage: snap-run-test.sh BUILD_FOLDER}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C.UTF-8
# shellcheck source=tap.sh
. "$here/tap.sh"

# run COMMAND...: prints its exit code; output goes to $work/out and err.
run() {
    local result=0
    "$@" >"$work/out" 2>"$work/err" </dev/null || result=$?
    echo "$result"
}

counts() { sed -n 's/^snap-run: sockets: //p' "$work/err"; }

# The other lines, as "received 2 6 by reference 2 8 ...".
bytes() {
    sed -n 's/^snap-run: \(.*\) messages \(.*\) bytes/\1 \2/p' "${1:-$work/err}" |
        tr '\n' ' '
}

snap_run=$build/snap-run
export LD_PRELOAD=$build/snap-family.so

# One of each kind that is mapped, and two that are not.
cat >"$work/sockets" <<'END'
import socket, sys
kept = [socket.socket(family, kind)
        for family in (socket.AF_INET, socket.AF_INET6)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
kept += socket.socketpair()
assert kept[0].getsockopt(socket.SOL_SOCKET, 39) == socket.AF_INET  # SO_DOMAIN
END

# An accepted connection, both ways, in two processes.
cat >"$work/echo" <<'END'
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    peer, name = listener.accept()
    peer.sendall(peer.recv(100))
    os._exit(name[0] != "127.0.0.1")
client = socket.create_connection(listener.getsockname())
client.sendall(b"hello")
assert client.recv(100) == b"hello"
assert os.wait()[1] == 0
client.detach()  # open when the process ends
END

# A connection that parent and child close, with os._exit() at last, after both
# have sent on it.
cat >"$work/shared" <<'END'
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
peer = listener.accept()[0]
client.sendall(b"hello")
another = client.dup()
another.close()
if os.fork() == 0:
    client.sendall(b"hello")
    os._exit(0)
os.wait()
client.sendall(b"hello")
client.close()
assert peer.recv(100, socket.MSG_WAITALL) == b"hello" * 3
os._exit(0)
END

# More connections than the counts remember.
cat >"$work/many" <<'END'
import socket
listener = socket.create_server(("127.0.0.1", 0))
for i in range(1200):
    client = socket.create_connection(listener.getsockname())
    peer = listener.accept()[0]
    client.sendall(b"hello")
    assert peer.recv(100) == b"hello"
END

check "without the family the program runs" 0 \
    "$(run env SNAP_FAMILY=none "$snap_run" -c python3 "$work/sockets")"
check "and all sockets fall back" \
    "0 AF_SNAP, 4 fell back (Address family not supported by protocol)" \
    "$(counts)"
check "with it" 0 "$(run "$snap_run" -c python3 "$work/sockets")"
check "all are mapped" "4 AF_SNAP, 0 fell back" "$(counts)"
check "with a part of it" 0 "$(run env SNAP_FAMILY=streams \
    "$snap_run" -c python3 "$work/sockets")"
check "the others fall back" \
    "2 AF_SNAP, 2 fell back (Socket type not supported)" "$(counts)"
check "client and server understand each other" 0 \
    "$(run "$snap_run" -c python3 "$work/echo")"
check "and count together" "2 AF_SNAP, 0 fell back" "$(counts)"
check "and bytes" \
    "received 2 6 by reference 2 8 copied 2 2 copied short 2 2 " "$(bytes)"
check "a connection of two processes" 0 \
    "$(run "$snap_run" -c python3 "$work/shared")"
check "is counted once" \
    "received 1 3 by reference 1 14 copied 1 1 copied short 1 1 " "$(bytes)"
check "many connections" 0 "$(run "$snap_run" -c python3 "$work/many")"
check "are all counted" "received 1200 3600 by reference 1200 4800$(
    ) copied 1200 1200 copied short 1200 1200 " "$(bytes)"
check "the counts go to a file" 0 \
    "$(run "$snap_run" -o "$work/counts" python3 "$work/echo")"
check "which has nothing else" \
    "received 2 6 by reference 2 8 copied 2 2 copied short 2 2  5" \
    "$(bytes "$work/counts") $(wc -l <"$work/counts")"
check "they survive a program that is killed" 137 "$(run "$snap_run" -c \
    python3 -c 'import os, socket; socket.socket(); os.kill(os.getpid(), 9)')"
check "and say what it did" 1 "$(counts | grep -c '^1 AF_SNAP')"
check "daemons are waited for" 0 "$(run "$snap_run" -c sh -c \
    '(sleep 0.3; exec python3 -c "import socket; socket.socket()") &')"
check "and counted" 1 "$(counts | grep -c '^1 AF_SNAP')"

# A program that ends with a signal and leaves a daemon behind: the second one
# ends the wait for that.
"$snap_run" -c sh -c "trap 'exit 7' TERM
    sleep 60 >/dev/null 2>&1 &
    echo \$! >'$work/part' && mv '$work/part' '$work/daemon'
    wait" 2>"$work/err" &
until [[ -e $work/daemon ]]; do sleep 0.05; done
kill -TERM $!
while pgrep -P $! -x sh >/dev/null; do sleep 0.05; done
kill -TERM $!
result=0
wait $! || result=$?
kill "$(<"$work/daemon")"
check "signals are passed on" 7 "$result"

# Ordinary memory serves where there is no device.
check "with --heap and no device" 0 "$(SNAP_DEVICE=/nonexistent/snap \
    run "$snap_run" -c --heap 1M "$here/../../selftests/programs/heap.py")"
check "large allocations are elsewhere" 1 \
    "$(counts | grep -c ' 0 in regions, [1-9][0-9]* elsewhere')"
cp "$build/libsnap.a" "$work/file"
check "memory is as it was, but for where it is" 0 \
    "$(SNAP_DEVICE=/nonexistent/snap run "$snap_run" --heap 1M \
        "$build/memory-user" "$work/file" "$work")"
check "but none if nothing is mapped" 0 "$(SNAP_FAMILY=none \
    SNAP_DEVICE=/nonexistent/snap \
    run "$snap_run" -c --heap 1M "$here/../../selftests/programs/heap.py")"
check "as nothing is sent from there" 0 "$(counts | grep -c allocations)"

# A filter of seccomp(2) sees the family: the kernel's, not the one above.
for how in "" seccomp; do
    check "a program that limits its sockets lives ${how:-prctl}" 0 \
        "$(run env -u LD_PRELOAD "$snap_run" -c "$build/sandboxed" $how)"
done
check "with one socket from before and one that fell back since" \
    "1 AF_SNAP, 1 fell back (Operation not permitted)" \
    "$(run "$snap_run" -c "$build/sandboxed" >/dev/null; counts)"

check "a library with RTLD_DEEPBIND frees as the program does" 0 \
    "$(run "$snap_run" --heap 1M "$build/deepbind")"

# Into programs of another C library, musl for one, the loader puts the two as
# well: they name no function that not every one has, nor another library.
strangers() {
    nm -D --undefined-only --without-symbol-versions "$build/$1" |
        sed -n 's/^ *U //p' | grep -vxE "$(tr -d ' \n' <<'END'
            abort|clearerr|close|dlsym|fstat|getdents64|getpid|getsockopt|
            mem(cpy|move|set)|mmap|msync|munmap|open|pthread_attr_getstack|
            pthread_mutex(attr)?_[a-z]+|pthread_sigmask|
            secure_getenv|sigfillset|strlen|syscall|__errno_location
END
        )" || true
    readelf -d "$build/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vx libc.so.6 || true
}
for library in libsnap-run.so libsnap-run-heap.so; do
    check "$library loads with any C library" "" "$(strangers "$library")"
done

check "without -c nothing is told" "0 " \
    "$(run "$snap_run" python3 "$work/sockets") $(<"$work/err")"
check "exit codes are the program's" 5 "$(run "$snap_run" sh -c 'exit 5')"
check "a static program" 126 "$(run "$snap_run" "$build/static-user")"
check "is named so" 1 "$(grep -c 'static-user: statically linked' "$work/err")"
printf '#!/nonexistent/\033[2J\n' >"$work/steers" && chmod +x "$work/steers"
check "a script whose interpreter is not there" 126 "$(run "$snap_run" \
    "$work/steers")"
printf '#!%s\n' "$work/static"$'\033' >"$work/steers"
cp "$build/static-user" "$work/static"$'\033'
check "one whose interpreter is static" 126 "$(run "$snap_run" "$work/steers")"
check "which cannot steer the terminal" 1 \
    "$(grep -c 'static\\x1b: statically linked' "$work/err")"
check "a program that is not there" 127 "$(run "$snap_run" "$work/nothing")"
check "wrong usage" 125 "$(run "$snap_run" --frob)"
check "help" 0 "$(run "$snap_run" --help)"
check "output that cannot be written" 125 \
    "$(run "$snap_run" -o /nonexistent/counts true)"

end_of_tests
