#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The guest's end of the demonstration: snapcat over AF_SNAP, first sending,
# then receiving, with the counters before and after.
#
# shellcheck disable=SC2317 # functions that measure and wait_for run by name
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/plan.sh"
tools=$here/../../build/tools
work=/dev/shm/demo
mkdir -p "$work"

page_allocations() {
    awk '/^pgalloc_/ { sum += $2 } END { print sum }' /proc/vmstat
}

# measure NAME COMMAND...: runs it and reports by how much each counter rose.
measure() {
    local name=$1 before after status=0
    shift
    "$tools/snapctl" stats >"$work/before"
    before=$(page_allocations)
    "$@" || status=$?
    after=$(page_allocations)
    "$tools/snapctl" stats >"$work/after"
    awk 'NR == FNR { before[$1] = $2; next } { print $1, $2 - before[$1] }' \
        "$work/before" "$work/after" >"$share/$name.guest"
    echo "pages $((after - before))" >>"$share/$name.guest"
    return "$status"
}

# Both read and write files whose pages exist already: what is allocated is
# the network's.
send() { # FILE [OPTION...]
    "$tools/snapcat" -v -r -b "$message_bytes" --rate="$rate" "${@:2}" \
        "$host_address" "$to_host_port" <"$1" 2>"$work/send.log"
}

receive() {
    "$tools/snapcat" -l -v -z --view -n "$messages" -w 30 --rcvbuf=64M \
        "$to_guest_port" 1<>"$work/received" 2>"$work/receive.log" \
        </dev/null
}

bound() { grep -qi "$(printf ':%04X ' "$to_guest_port")" /proc/net/udp; }

announce() { wait_for bound && touch "$share/guest-listens"; }

# The first message waits for the neighbour's address, and one sent meanwhile
# from another CPU may overtake it. So let an answer come back first: nobody
# listens on the discard port, which is an error here.
echo hello | "$tools/snapcat" -w 5 "$host_address" 9 2>"$work/hello.log" ||
    grep -q refused "$work/hello.log"

head -c "$total_bytes" /dev/urandom >"$work/sent"
head -c "$total_bytes" /dev/zero >"$work/received"

# The same program without data: what starting it costs, once it is in the
# page cache.
measure cold send /dev/null
measure idle send /dev/null

echo "sending to the host ..."
measure to-host send "$work/sent" --end-mark
cat "$work/send.log"
{
    echo "sent_bytes $(stat -c %s "$work/sent")"
    echo "sent_sha256 $(digest "$work/sent")"
} >>"$share/to-host.guest"

echo "receiving from it ..."
announce &
status=0
measure to-guest receive || status=$?
wait $!
cat "$work/receive.log"
{
    echo "received_bytes $(stat -c %s "$work/received")"
    echo "received_sha256 $(digest "$work/received")"
} >>"$share/to-guest.guest"
exit "$status"
