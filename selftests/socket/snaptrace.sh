#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What snaptrace counts is what the sockets and the module count, to the last
# message and byte, by process and by socket.
#
# Machines: auto-2 newest
#
# Most functions are run by check():
# shellcheck disable=SC2317
set -uo pipefail
# shellcheck source=../lib/tap.sh
. "$(dirname "$(readlink -f "$0")")/tap.sh"

here=$(dirname "$(readlink -f "$0")")
tools=$here/../tools
started=()
trap 'kill "${started[@]}" 2>/dev/null; rm -rf "$work"' EXIT

# within COMMAND...: true at last, within ten seconds.
within() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        ! "$@" || return 0
        sleep 0.05
    done
    return 1
}

# trace NAME OPTION...: counts into $work/NAME until it is interrupted.
trace() {
    local name=$1
    shift
    "$tools/snaptrace" --json --interval 3600 "$@" >"$work/$name" \
        2>"$work/$name.err" &
    started+=($!)
    within grep -q counting "$work/$name.err"
}

# transfer [--view]: its own counters, by getsockopt, come from -v.
transfer() {
    local port=7019 listener
    timeout 30 "$tools/snapcat" -l -v -z -w 20 --rcvbuf=8M "$@" 127.0.0.1 \
        "$port" >"$work/received" 2>"$work/listener" &
    listener=$!
    within grep -q "$(printf ':%04X ' "$port")" /proc/net/udp || return
    head -c 600000 /dev/zero >"$work/sent"
    "$tools/snapcat" -v -f -z -w 1 -b 20000 127.0.0.1 "$port" <"$work/sent" \
        2>"$work/sender" &
    sender=$!
    wait "$sender" && wait "$listener" && cmp "$work/sent" "$work/received"
}

# leave: to a neighbour that is not there, and so does not refuse anything.
leave() {
    local nobody=10.77.0.77
    ip neigh replace "$nobody" lladdr 02:00:00:00:00:77 dev snap0 &&
        head -c 3000000 /dev/zero |
        "$tools/snapcat" -f -b 30000 "$nobody" 7009
}

# Each send of a stream is timed, by its own packet.
streams_are_timed() {
    local status=0
    trace streams.times --by-socket &&
        timeout 120 "$here/../../selftests/socket/snaptrace-streams.py" \
            "$SNAP_HOST_STREAM" "$work/streams" || status=1
    kill -INT "${started[@]}"
    wait "${started[@]}"
    started=()
    compare "$status == 0 and times_are_right()"
}

# A bare acknowledgement is padded then, and looks like data.
without_stamps() {
    local file=/proc/sys/net/ipv4/tcp_timestamps before status=0
    before=$(<"$file")
    echo 0 >"$file"
    streams_are_timed || status=1
    echo "$before" >"$file"
    return "$status"
}

# They are let through to the program, wherever the checkout is.
refuses_others() {
    setpriv --reuid 65534 --clear-groups --inh-caps +dac_read_search \
        --ambient-caps +dac_read_search "$tools/snaptrace" -n 1
    [[ $? == 5 ]]
}

# compare EXPRESSION: Python over the sums; see below.
compare() {
    /usr/bin/python3 - "$work" "$sender" "$1" <<'END'
import json, re, sys

work, sender, expression = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def load(name):
    with open(work + "/" + name) as f:
        return json.loads(f.readlines()[-1])

def flat(counts):
    """Counters of sockets, by name."""
    names = ("tx_ref_msgs", "tx_ref_bytes", "tx_copied_msgs",
             "tx_copied_bytes", "rx_msgs", "rx_copied_bytes",
             "rx_viewed_msgs", "rx_viewed_bytes")
    result = {name: counts[name] for name in names}
    for reason, part in counts["copied"].items():
        for unit in ("msgs", "bytes"):
            result[reason + "_" + unit] = part[unit]
    return result

def total(rows):
    result = {}
    for row in rows:
        for name, value in flat(row).items():
            result[name] = result.get(name, 0) + value
    return result

def times_are_right():
    """Of each stream: all sends are timed, the longest time is in bounds."""
    with open(work + "/streams") as f:
        streams = json.load(f)
    rows = {row["inode"]: row for row in load("streams.times")["processes"]}
    for inode, (sends, at_least, at_most) in streams.items():
        times = rows[int(inode)]["send_to_doorbell_ns"]
        longest = max(map(int, times), default=0)  # or up to twice as long
        if (sum(times.values()) != sends or longest > at_most or
                2 * longest <= at_least):
            print("stream", sends, "sends", at_least, at_most, times)
            return False
    return len(streams) == 19

before, after = (flat(load(name)) for name in ("before", "after"))
module = {name: after[name] - before[name] for name in after}
process, socket = load("process"), load("socket")
mine = [row for row in process["processes"] if row["pid"] == sender]
# Nobody else sends by the device.
left = [row for row in process["processes"] if row["send_to_doorbell_ns"]]
timed = sum(left[0]["send_to_doorbell_ns"].values()) if left else 0
with open(work + "/sender") as f:
    own = {what: (int(msgs), int(bytes_)) for what, msgs, bytes_ in re.findall(
        r"^snapcat: (.*?) (\d+) messages (\d+) bytes", f.read(), re.M)}
good = eval("(" + expression + ")")
if not good:
    print("module", module)
    print("process", process)
    print("socket", socket)
    print("sender", sender, own)
sys.exit(not good)
END
}

# It is stuck in write(2) then.
ends_where_nobody_reads() {
    local status
    mkfifo "$work/unread"
    exec 3<>"$work/unread"
    head -c 65536 /dev/zero >&3
    "$tools/snaptrace" --json --interval 0.01 >&3 2>"$work/unread.err" &
    started=($!)
    within grep -q pipe_write "/proc/$!/wchan" || return
    kill -TERM "$!"
    timeout 20 tail --pid="$!" -s 0.05 -f /dev/null
    status=$?
    kill -KILL "$!" 2>/dev/null
    started=()
    exec 3<&-
    cat "$work/unread.err"
    ((status == 0))
}

echo "TAP version 13"
if [[ ! -e /sys/kernel/btf/snap && ${SNAP_VM_KERNEL:-} == debug ]]; then
    echo "1..0 # SKIP the debug kernel has no type information"
    exit 4
fi
echo "1..12"
sender=0
"$tools/snapctl" --json stats >"$work/before"
check "it starts counting" trace process
check "and once more, by socket" trace socket --by-socket
check "datagrams leave by snap0" leave
check "and over loopback" transfer
check "to be received by view as well" transfer --view
kill -INT "${started[@]}"
wait "${started[@]}"
started=()
"$tools/snapctl" --json stats >"$work/after"
check "processes add up to what the module counted" compare \
    'process["lost"] == 0 and total(process["processes"]) == module and
        module["tx_ref_msgs"] > 0 and module["rx_copied_bytes"] > 0 and
        module["rx_viewed_msgs"] > 0'
check "sockets do as well" compare \
    'total(socket["processes"]) == module and
        len({row["inode"] for row in socket["processes"]}) == 5'
check "a process has what its socket counted, and the doorbell's times" compare \
    'len(mine) == 1 and
        (mine[0]["tx_ref_msgs"], mine[0]["tx_ref_bytes"]) ==
            own["by reference"] and
        (mine[0]["tx_copied_msgs"], mine[0]["tx_copied_bytes"]) ==
            own["copied"] and
        not mine[0]["send_to_doorbell_ns"] and len(left) == 1 and
        0 < timed <= left[0]["tx_ref_msgs"] + left[0]["tx_copied_msgs"]'
if [[ -n ${SNAP_HOST_STREAM:-} ]]; then
    check "each send of a stream is timed, by its own packet" streams_are_timed
    check "and without time stamps" without_stamps
else
    echo "ok 9 # SKIP no echo server at the host's end"
    echo "ok 10 # SKIP no echo server at the host's end"
    number=10
fi
check "other users are refused" refuses_others
check "a signal ends it where nobody reads" ends_where_nobody_reads
exit $((failures != 0))
