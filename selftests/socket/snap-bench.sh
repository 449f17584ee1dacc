#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Each row of snap-bench(1) for a moment: it works, and its counts are those of
# what it does.  How long anything took is not looked at.
#
# Machines: auto-1
set -uo pipefail
# shellcheck source=../lib/tap.sh
. "$(dirname "$(readlink -f "$0")")/tap.sh"
trap 'rm -rf "$work"' EXIT

build=$(dirname "$(readlink -f "$0")")/..
bench=$build/tools/snap-bench
counter=$build/kmod/$(uname -r)/snap_count.ko

# Run by name, by check(): Python over the results.
# shellcheck disable=SC2317
counts() {
    /usr/bin/python3 - "$work/rows" <<'END'
import json, os, sys

with open(sys.argv[1]) as f:
    rows = json.load(f)["rows"]
wrong = []
kicked = set()
stores = {"write_faults": 0, "cow_copied_bytes": 0}
alone = len(os.sched_getaffinity(0)) == 1

def expect(row, what, good):
    if not good:
        wrong.append((row["name"], what))

for row in rows:
    # Few hosts have it.
    if "skipped" in row and row["name"] == "stream-send-64k-beside-vsock":
        continue
    if "failed" in row or "skipped" in row:
        wrong.append((row["name"], row.get("failed") or row["skipped"]))
        continue
    ours, peer = row["counts"]["ours"], row["counts"]["peer"]
    for side, wall in (ours, row["ours"]), (peer, row["peer"]):
        expect(row, "arrives", 0 < side["arrived"] <= 1)
        # of one round, whose time a message the median is
        busy = side.get("busy_ns")
        expect(row, "busy", 0 < busy < 1.01 * wall if alone else busy is None)
        expect(row, "exits", side["exits"] >= side["doorbells"])
    # virtio-net need not be kicked while it is busy with other packets.
    for name in stores:
        stores[name] += ours[name]
        expect(row, "no " + name, peer[name] == 0 or row["name"].startswith("loopback"))
    for direction in "send", "receive":
        if direction in row["name"] and peer.get("doorbells", 0) > 0:
            kicked.add(direction)
    if not row["name"].startswith(("loopback", "checkpoint")):
        expect(row, "doorbells", ours["doorbells"] > 0)
    expect(row, "ratio", row["lowest"] <= row["ratio"] <= row["highest"])
    expect(row, "percentiles", ("p99_ns" in ours) ==
           ("-rr-" in row["name"] or row["name"].startswith("checkpoint")))
    expect(row, "peer by reference", peer["by_reference_bytes"] == 0)
    if row["name"].startswith("stream-forward"):
        expect(row, "by reference", ours["by_reference_bytes"] > 0.8 * row["bytes"])
    if row["name"].startswith("regions") or (
            "send" in row["name"] and row["bytes"] >= 60000):
        by_reference = ours["by_reference_bytes"] > 0.9 * row["bytes"]
        expect(row, "by reference", by_reference != row["name"].startswith("netdev"))
for name, count in stores.items():
    if not count:
        wrong.append(("snap0", "none: " + name))
for direction in {"send", "receive"} - kicked:
    wrong.append(("virtio-net", "no kicks: " + direction))
for name, what in wrong:
    print(name, what)
sys.exit(not rows or bool(wrong))
END
}

# What goes by reference or into a view passes copying functions at times, which
# are told to drop it.
# shellcheck disable=SC2317
copies() {
    local status=0
    insmod "$counter" || return
    "$bench" --port "$SNAP_HOST_BENCH" --rounds 1 --milliseconds 20 --attempts 1 \
        --json "$work/copies" run dgram-send-60000 dgram-receive-60000-view \
        netdev-udp-receive-1472-mtu1500 ||
        status=$?
    rmmod snap_count && ((status == 0)) &&
        /usr/bin/python3 - "$work/copies" <<'END'
import json, sys

with open(sys.argv[1]) as f:
    rows = json.load(f)["rows"]
wrong = 0
for row in rows:
    ours, peer = row["counts"]["ours"], row["counts"]["peer"]
    # What is lost on the way has been copied by whoever sent it.
    copied = [side["kernel_copied_bytes"] / row["bytes"] /
              (side["arrived"] if "receive" in row["name"] else 1)
              for side in (ours, peer)]
    # Of small packets the driver copies the payload out of frames.
    least, most = (1.9, 2.5) if row["bytes"] == 1472 else (0, 0.5)
    if (not least <= copied[0] <= most or not 1 <= copied[1] <= 1.5 or
            not ours["slab_allocs"]):
        wrong += 1
        print(row["name"], "copied", copied, "slab", ours["slab_allocs"])
sys.exit(len(rows) != 3 or wrong)
END
}

echo "TAP version 13"
if [[ -z ${SNAP_HOST_BENCH:-} || ! -e /sys/class/net/virtio0 ]]; then
    echo "1..0 # SKIP no snap-bench at the host's end, or no virtio-net"
    exit 4
fi
echo "1..3"
modprobe -q vsock_loopback
# A thousand connections take longer than a moment, and are as those of a hundred;
# rows between machines are others between this one and the host.
mapfile -t rows < <("$bench" list | grep -vxE 'sockets-1000|guests-.*')
check "rows are measured" "$bench" --port "$SNAP_HOST_BENCH" --rounds 1 \
    --milliseconds 1 --attempts 1 --json "$work/rows" run "${rows[@]}"
check "they count what they do" counts
check "what the kernel copies is counted, what it only passes over is not" copies
exit $((failures != 0))
