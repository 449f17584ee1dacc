#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# ping, and iperf3 TCP and UDP in both directions, over snap0 and over
# virtio-net beside it, in one run of one machine. Everything must live: a
# failed ping, a broken connection or a packet that the device dropped under
# TCP fails the run; slowness does not.
#
#   selftests/bench/net.sh [MTU...]     SECONDS_EACH=30, of each direction
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
seconds=${SECONDS_EACH:-30}

for mtu in "${@:-1500}"; do
    "$here/../vm/snap-vm" --name "net-$mtu" --mtu "$mtu" --smp 1 \
        ${SNAP_QEMU:+--qemu "$SNAP_QEMU"} --virtio-net --timeout $((seconds * 8 + 240)) \
        --host 'exec iperf3 -s -p 5201 >/dev/null' \
        -- "$here/net-guest.sh" "$seconds" "$mtu"
done
