#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The host's end of the demonstration: socat, a program that knows nothing
# of snapshots.
#
#   host.sh receive    what the guest sends, until an empty datagram
#   host.sh send       as soon as the guest listens
set -euo pipefail
. "$(dirname "$0")/plan.sh"
logs=${SNAP_VM_LOGS:?run by snap-vm only}

receive() {
    # SO_RCVBUFFORCE (33 of SOL_SOCKET, 1): all of it fits if we are late.
    timeout 120 socat -u -b 65536 \
        "UDP4-RECV:$to_host_port,null-eof,setsockopt-listen=1:33:i33554432" \
        "CREATE:$logs/to-host"
    {
        echo "received_bytes $(stat -c %s "$logs/to-host")"
        echo "received_sha256 $(digest "$logs/to-host")"
    } >"$share/to-host.host"
}

send() {
    local peer="UDP4-SENDTO:$guest_address:$to_guest_port,sourceport=7003"
    local burst=$((message_bytes * 16)) offset
    head -c "$total_bytes" /dev/urandom >"$logs/to-guest"
    wait_for test -e "$share/guest-listens"
    for ((offset = 0; offset < total_bytes; offset += burst)); do
        socat -u -b "$message_bytes" \
            "FILE:$logs/to-guest,seek=$offset,readbytes=$burst" "$peer"
        sleep 0.05
    done
    socat -u /dev/null "$peer,shut-null"
    {
        echo "sent_bytes $(stat -c %s "$logs/to-guest")"
        echo "sent_sha256 $(digest "$logs/to-guest")"
    } >"$share/to-guest.host"
}

case ${1-} in
receive | send) "$1" ;;
*)
    echo "usage: host.sh receive|send" >&2
    exit 2
    ;;
esac
