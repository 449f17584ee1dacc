#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's end of check-programs.sh: every program under snap-run, as client
# and as server, with ordinary memory and with its large allocations in a
# region.  A line of $SNAP_VM_SHARE/results for each:
#   PROGRAM ROLE MEMORY STATUS MAPPED FELL_BACK REF_BYTES COPIED_BYTES RX_BYTES
set -uo pipefail
here=$(dirname "$0")
share=${SNAP_VM_SHARE:?run by snap-vm only}
tools=$here/../../build/tools
host=10.77.0.1
size=16M # of the region of each process
work=$(mktemp -d /dev/shm/programs.XXXXXX)

# within SECONDS COMMAND...: true at last.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}

stats() { "$tools/snapctl" stats; }

# delta NAME: by how much the counter rose.
delta() {
    awk -v name="$1" '$1 == name { print $2 - n; n = $2 }' \
        "$work/before" "$work/after" | tail -n 1
}

client() { # PROGRAM
    timeout 120 "${under[@]}" "$here/case.sh" client "$1" "$host"
}

server() { # PROGRAM
    local pid status=0
    "${under[@]}" "$here/case.sh" server "$1" &
    pid=$!
    within 30 "$here/case.sh" listens "$1" || status=1
    if ((status == 0)); then
        rm -f "$share/answer"
        touch "$share/ask.$1"
        within 150 test -e "$share/answer" || status=1
        [[ -e $share/answer ]] && status=$(<"$share/answer")
        cat "$share/client.log"
    fi
    kill "$pid"
    within 10 gone "$pid" || kill "$pid" # daemons of it
    wait "$pid"
    return "$status"
}

# What a program may expect of memory; not of sockets.
alone() {
    timeout 120 "$tools/snap-run" -o "$work/counts" --heap "$size" \
        "$here/heap.py" regions
}

gone() { ! kill -0 "$1" 2>/dev/null; }

one() { # PROGRAM ROLE MEMORY
    local status=0 sockets
    rm -f "$work/counts"
    stats >"$work/before"
    echo "== $1 as $2, $3 memory"
    "$2" "$1" || status=$?
    stats >"$work/after"
    sockets=$(sed -n 's/.*: \([0-9]*\) AF_SNAP, \([0-9]*\) fell.*/\1 \2/p' \
        "$work/counts")
    echo "$1 $2 $3 $status ${sockets:-? ?} $(delta tx_ref_bytes)" \
        "$(delta tx_copied_bytes) $(delta rx_copied_bytes)" |
        tee -a "$share/results"
}

within 60 test -e "$share/host-ready" || exit 1
one memory alone region
for memory in plain region; do
    under=("$tools/snap-run" -o "$work/counts")
    [[ $memory == plain ]] || under+=(--heap "$size" --aligned)
    for program in $("$here/case.sh" list); do
        for role in client server; do
            one "$program" "$role" "$memory"
        done
    done
done
