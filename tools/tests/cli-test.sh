#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The programs from outside, on plain UDP over loopback: TAP.
set -euo pipefail

build=${1:?usage: cli-test.sh BUILD_FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C.UTF-8
# shellcheck source=tap.sh
. "$here/tap.sh"

# code COMMAND...: prints its exit code; output goes to $work/out and err.
code() {
    local result=0
    "$@" >"$work/out" 2>"$work/err" </dev/null || result=$?
    echo "$result"
}

# Both are run by name, by code().
# shellcheck disable=SC2317
to_full_disk() { "$@" >/dev/full; }
# shellcheck disable=SC2317
with_input() { echo x | "$@"; }

free_port() {
    python3 -c 'import socket; s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# listening PORT: waits until somebody has bound it.
listening() {
    local hex try
    printf -v hex ':%04X ' "$1"
    for try in {1..100}; do
        grep -qi "$hex" /proc/net/udp /proc/net/udp6 && return
        sleep 0.02
    done
    echo "# nobody listens on port $1 after $try tries"
}

digest() { sha256sum <"$1" | cut -d ' ' -f 1; }

snapcat=$build/snapcat
snapctl=$build/snapctl
kvstore=$build/kvstore

version=$(sed -n 's/^#define LIBSNAP_VERSION "\(.*\)"/\1/p' \
    "$here/../libsnap/include/snap/libsnap.h")
for tool in snapcat snapctl snap-run snap-bench snaptrace; do
    check "$tool --help" "0 Usage: $tool" \
        "$(code "$build/$tool" --help) $(grep -o "^Usage: $tool" "$work/out")"
    check "to standard output" "" "$(<"$work/err")"
    check "$tool --version" "0 $tool $version" \
        "$(code "$build/$tool" --version) $(<"$work/out")"
    usage=2
    [[ $tool != snap-run ]] || usage=125 # below are those of PROGRAM
    check "$tool without such an option" "$usage" \
        "$(code "$build/$tool" --frob)"
    check "says so" "$tool: unknown option --frob
Try '$tool --help'." "$(cat "$work/out" "$work/err")"
    check "$tool with one that steers a terminal" "$usage" \
        "$(code "$build/$tool" $'--\033[2J\n\xff')"
    check "shows it" "$tool: unknown option --\x1b[2J\x0a\xff" \
        "$(head -n 1 "$work/err")"
done
for words in "" "frob" "run no-such-row" "list no-such-row" "serve row" \
    "run --rounds 0"; do
    # shellcheck disable=SC2086 # several words
    check "snap-bench usage: $words" 2 "$(code "$build/snap-bench" $words)"
done
check "snap-bench has rows" 0 "$(code "$build/snap-bench" list "*-rr-*")"

check "snapctl without a module" 3 \
    "$(SNAP_DEVICE=/nonexistent/snap code "$snapctl" status)"
check "says to load it" 1 "$(grep -c 'load the snap module' "$work/err")"
check "snapctl on another device" 1 \
    "$(SNAP_DEVICE=/dev/null code "$snapctl" --json stats)"
check "snapctl usage" 2 "$(code "$snapctl" frob)"
check "snapctl reasons are JSON" 0 "$(code "$snapctl" --json reasons)"
cp "$work/out" "$work/json"
check "and parse" 0 "$(code python3 -m json.tool "$work/json")"
check "snapctl output that cannot be written" 1 \
    "$(code to_full_disk "$snapctl" reasons)"
for words in "region" "region frob" "snapshot list 1" "region show 1" \
    "snapshot diff 1 2" "region show x 0" "region diff 1 2 3 -4" \
    "doctor 64M" "doctor --host 64" "doctor --host 0M" "status --host"; do
    # shellcheck disable=SC2086 # several words
    check "snapctl usage: $words" 2 "$(code "$snapctl" $words)"
done
check "snapctl lists without a module" 0 \
    "$(code "$snapctl" --json region list)"
cp "$work/out" "$work/json"
check "and in JSON" 0 "$(code python3 -m json.tool "$work/json")"
check "snapctl names a process that is not there" 1 \
    "$(code "$snapctl" snapshot show 999999999 0)"
check "and says so" 1 "$(grep -c 'of process 999999999: ' "$work/err")"
# Whatever this machine has: the status says whether something is missing.
for words in doctor "doctor --host" "doctor --host 1048576M"; do
    # shellcheck disable=SC2086 # several words
    result=$(code "$snapctl" --json $words)
    check "snapctl $words" "$result" "$(python3 -c 'import json, sys
found = json.load(open(sys.argv[1]))
bad = [f for f in found["findings"] if f["verdict"] == "missing"]
assert found["missing"] == len(bad) and all(f["to_do"] for f in bad)
print(int(bool(bad)))' "$work/out")"
done
code "$snapctl" doctor --host 1048576M >/dev/null
check "no host has mappings for a terabyte of clones" 1 \
    "$(grep -c '^note     mappings' "$work/out")"
check "kvstore usage" 2 "$(code "$kvstore" frob)"
check "kvstore help" 0 "$(code "$kvstore" --help)"
check "kvstore without a module" 1 \
    "$(SNAP_DEVICE=/nonexistent/snap code "$kvstore" follow)"
check "kvstore with fork(2) only" 0 \
    "$(code "$kvstore" checkpoint -m fork -t 1 -s 2 -f "$work/checkpoint")"
check "snapcat usage" 2 "$(code "$snapcat" -b 0 localhost 1)"
check "snapcat hears nothing" 3 \
    "$(code "$snapcat" --inet -l -w 1 "$(free_port)")"
check "snapcat is refused" 1 \
    "$(code with_input "$snapcat" --inet -w 2 127.0.0.1 "$(free_port)")"

head -c 3000001 /dev/urandom >"$work/in"
for family in 4 6; do
    host=127.0.0.1
    [[ $family == 4 ]] || host=::1
    [[ $family == 4 || -e /proc/net/if_inet6 ]] || continue
    port=$(free_port)
    "$snapcat" -"$family" --inet -l -v -z -w 20 --rcvbuf=8M "$port" \
        >"$work/out" 2>"$work/err" &
    receiver=$!
    listening "$port"
    "$snapcat" -"$family" --inet -f -z -b 50000 --rate=50M "$host" "$port" \
        <"$work/in"
    result=0
    wait "$receiver" || result=$?
    check "IPv$family: receiver sees the end" 0 "$result"
    check "IPv$family: bytes arrive" "$(digest "$work/in")" \
        "$(digest "$work/out")"
    check "IPv$family: datagrams are filled" \
        "snapcat: received 61 messages 3000001 bytes" \
        "$(grep received "$work/err")"
done

port=$(free_port)
(echo ping && sleep 1) | "$snapcat" --inet -l -n 1 "$port" >"$work/out" &
receiver=$!
listening "$port"
echo pong | "$snapcat" --inet "127.0.0.1" "$port"
wait "$receiver"
check "-n 1 ends after one datagram" pong "$(<"$work/out")"

port=$(free_port)
"$snapcat" --inet -l -v "$port" >"$work/out" 2>"$work/err" &
receiver=$!
listening "$port"
kill -TERM "$receiver"
result=0
wait "$receiver" || result=$?
check "SIGTERM ends it with a report" "0 1" \
    "$result $(grep -c 'received 0 messages' "$work/err")"

# Nobody reads what it writes: stuck in write(2), or about to be.
port=$(free_port)
mkfifo "$work/unread"
exec 3<>"$work/unread"
"$snapcat" --inet -l -v "$port" >"$work/unread" 2>"$work/ended" &
receiver=$!
listening "$port"
head -c 1M /dev/zero | "$snapcat" --inet -b 50000 --rate=50M 127.0.0.1 "$port"
for _ in {1..100}; do
    ! grep -q pipe_write "/proc/$receiver/wchan" 2>/dev/null || break
    sleep 0.02
done
kill -TERM "$receiver"
result=$(code timeout 10 tail --pid="$receiver" -s 0.05 -f /dev/null)
kill -KILL "$receiver" 2>/dev/null || true
wait "$receiver" || result+=" $?"
exec 3<&-
check "SIGTERM ends it where nobody reads" "0 1" \
    "$result $(grep -c 'snapcat: received' "$work/ended")"

# A server for one connection, which writes its port to $work/port.
python3 -c 'import socket, sys
s = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1], "w").write(str(s.getsockname()[1]) + "\n")
c = s.accept()[0]
while part := c.recv(65536):
    sys.stdout.buffer.write(part)' "$work/port" >"$work/out.tcp" &
receiver=$!
for _ in {1..100}; do
    [[ ! -s $work/port ]] || break
    sleep 0.02
done
check "porting without a module" 0 \
    "$(SNAP_DEVICE=/nonexistent/snap code "$build/porting" 127.0.0.1 "$(<"$work/port")")"
wait "$receiver"
check "porting falls back" AF_INET "$(<"$work/out")"
check "porting sends all" 4194304 "$(stat -c %s "$work/out.tcp")"
check "porting is refused" 1 "$(code "$build/porting" 127.0.0.1 "$(free_port)")"
check "porting usage" 2 "$(code "$build/porting")"

for page in "$here"/../*/*.[1378]; do
    check "${page##*/} is clean" "" \
        "$(man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)"
done

end_of_tests
