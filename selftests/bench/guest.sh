#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The guest's part of bench.sh.
#   guest.sh times|counts ARGUMENT-OF-SNAP-BENCH...
#   guest.sh serve: for another machine, until the file "end" is in the share
set -euo pipefail

what=$1
shift
top=$(cd "$(dirname "$0")/../.." && pwd)
bench=$top/build/tools/snap-bench
status=0

# What only the guest knows of itself, for the head of the results.
grep -m 1 '^flags' /proc/cpuinfo | cut -d : -f 2 >"$SNAP_VM_SHARE/cpu-flags"
uname -r >"$SNAP_VM_SHARE/kernel"

# The other end is a machine at times, and starts as this one does.
await_other() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        ! (exec 3<>/dev/tcp/10.77.0.1/7100) 2>/dev/null || return 0
        sleep 0.1
    done
    echo "nobody serves"
    exit 1
}

case $what in
serve)
    "$bench" serve &
    until [[ -e $SNAP_VM_SHARE/end ]]; do
        sleep 0.2
    done
    kill %1
    exit
    ;;
*) await_other ;;
esac

# Where there is a device for it; and within the machine.
modprobe -qa vmw_vsock_virtio_transport vsock_loopback || true

case $what in
times)
    "$bench" --json "$SNAP_VM_SHARE/times.json" "$@" || status=$?
    ;;
counts)
    "$bench" --json "$SNAP_VM_SHARE/instructions.json" "$@" || status=$?
    # Probes cost instructions: they come after these were counted.
    insmod "$top/build/kmod/$(uname -r)/snap_count.ko"
    "$bench" --json "$SNAP_VM_SHARE/calls.json" "$@" || status=$?
    rmmod snap_count
    ;;
esac
exit "$status"
