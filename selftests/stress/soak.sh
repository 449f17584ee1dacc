#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# soak.sh SECONDS
# The guest's end of check-soak.sh: all kinds of traffic at once, and snapshots,
# each by one short program after another, many of which are killed on the way, while
# the link goes down and up.  Says of each how many ended, were killed, or failed,
# as those may that need the link; what they say is in the share, and as long as they
# run a file "soak".
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/../../build/tools
export LD_LIBRARY_PATH=$tools PYTHONPATH=$here/../../tools/python
end=$((SECONDS + $1))
patience=300

# again NAME COMMAND...: until the end, and until one has ended by itself, however slow
# the machine is.  Then every other one is killed with all its children.
again() {
    local name=$1 ended=0 killed=0 failed=0 status limit
    shift
    while ((SECONDS < end || (ended == 0 && SECONDS < end + patience))); do
        limit=$patience status=0
        ((ended == 0 || RANDOM % 2)) || limit=$((1 + RANDOM % 20))
        timeout -s KILL "$limit" "$@" || status=$?
        case $status in
        0) ended=$((ended + 1)) ;;
        137) killed=$((killed + 1)) ;;
        *) failed=$((failed + 1)) ;;
        esac
        # no matter what it does without a link: not as fast as it can
        ((status == 0 || status == 137)) || sleep 1
    done >"$SNAP_VM_SHARE/$name" 2>&1
    echo "$name: $ended ended, $killed killed, $failed failed"
}

# rows NAME ROW...: of snap-bench(1), one at a time.
rows() {
    local name=$1
    shift
    # shellcheck disable=SC2016 # of that shell
    again "$name" bash -c 'exec "$0" --port "$SNAP_HOST_BENCH" --rounds 1 \
        --milliseconds 300 --attempts 1 run "$(shuf -n 1 -e "$@")"' \
        "$tools/snap-bench" "$@"
}

link() {
    local times=0
    while ((SECONDS < end)); do
        sleep $((3 + RANDOM % 8))
        ip link set snap0 down
        sleep 0.$((RANDOM % 10))
        ip link set snap0 up
        ip addr replace fd77::2/64 dev snap0 nodad
        times=$((times + 1))
    done
    echo "link: down and up $times times"
}

# All frames, by the count of the module.  What was sent by those that were killed is
# sent again after a while; snap-vm does not wait for that.
frames_out() {
    "$tools/snapctl" status --json |
        /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["out_frames"])'
}

touch "$SNAP_VM_SHARE/soak"
rows datagrams dgram-send-{64,60000} dgram-receive-60000{,-view} regions-100 &
rows streams stream-send-64k stream-receive-64k{,-view} sockets-10 &
rows plain netdev-{tcp-send-64k,tcp-receive-64k,tcp-rr-64}-mtu65000 \
    netdev-udp-{send,receive}-{64,60000}-mtu65000 &
rows loopback loopback-{dgram-send-60000,stream-send-64k,udp-rr-64,tcp-rr-64} &
again checkpoints "$tools/kvstore" checkpoint --method snapshot --seconds 2 --size 4 \
    --writers 2 &
again commits "$tools/kvstore" follow --versions 500 --readers 2 &
again versions /usr/bin/python3 "$here/soak-versions.py" &
link &
wait
rm "$SNAP_VM_SHARE/soak"

for ((seconds = 0; seconds < 120; seconds++)); do
    [[ $(frames_out) != 0 ]] || break
    sleep 1
done
((seconds < 120)) || { echo "frames are out: $(frames_out)" && exit 1; }
echo "all frames were home after $seconds s"
