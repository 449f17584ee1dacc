#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# snap-run --count tells the bytes that the module has counted, also of a
# connection that several processes share.  With --heap, memory of regions does
# what memory does: the share of the test machine pins what it reads into.
#
# Machines: auto-1
set -uo pipefail
# shellcheck source=../lib/tap.sh
. "$(dirname "$(readlink -f "$0")")/tap.sh"
trap 'rm -rf "$work"' EXIT

tools=$(dirname "$(readlink -f "$0")")/../tools

# What the module counts from here on, in the words of snap-run.
# shellcheck disable=SC2317
stats() {
    "$tools/snapctl" --json stats | /usr/bin/python3 -c 'import json, sys
now, then = json.load(sys.stdin), json.load(open(sys.argv[1]))
def line(what, msgs, bytes_):
    if len(what.split()) == 1 or what == "by reference" or msgs:
        print("snap-run:", what, msgs, "messages", bytes_, "bytes")
def rise(name):
    return now[name] - then[name]
line("received", rise("rx_msgs"),
     rise("rx_copied_bytes") + rise("rx_viewed_bytes"))
line("by reference", rise("tx_ref_msgs"), rise("tx_ref_bytes"))
line("copied", rise("tx_copied_msgs"), rise("tx_copied_bytes"))
for reason in now["copied"]:
    line("copied " + reason, *(now["copied"][reason][unit] -
                               then["copied"][reason][unit]
                               for unit in ("msgs", "bytes")))' "$1"
}

# Three processes send on one connection, of memory in the heap.
# shellcheck disable=SC2317
program() {
    cat <<'END'
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
peer = listener.accept()[0]
memory = memoryview(bytes(100000))
def transfer(length):
    client.sendall(memory[:length])
    assert len(peer.recv(length, socket.MSG_WAITALL)) == length
for length in 100, 10000, 100000:
    transfer(length)
for _ in range(2):
    if os.fork() == 0:
        transfer(100000)
        client.close()
        os._exit(0)
    os.wait()
transfer(100000)
END
}

# shellcheck disable=SC2317
tells_what_the_module_counted() {
    program >"$work/program"
    "$tools/snapctl" --json stats >"$work/before"
    "$tools/snap-run" -o "$work/told" --heap 16M /usr/bin/python3 \
        "$work/program" || return
    cat "$work/told"
    stats "$work/before" >"$work/counted"
    diff "$work/counted" <(tail -n +2 "$work/told") &&
        grep -q "by reference [1-9]" "$work/told"
}

# shellcheck disable=SC2317
memory_does_what_memory_does() {
    head -c 1M /dev/urandom >"$SNAP_VM_SHARE/file"
    "$tools/snap-run" -o "$work/told" --heap 16M "$tools/memory-user" \
        "$SNAP_VM_SHARE/file" "$SNAP_VM_SHARE"
    local result=$?
    cat "$work/told"
    rm "$SNAP_VM_SHARE/file"
    ((result == 0)) && grep -q ", 0 elsewhere" "$work/told" &&
        grep -q "; large allocations: [1-9]" "$work/told"
}

echo "TAP version 13"
echo "1..2"
check "it tells what the module counted" tells_what_the_module_counted
check "memory is as it was" memory_does_what_memory_does
exit $((failures != 0))
