#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The guest's part of bench.sh.
#   guest.sh times|counts ARGUMENT-OF-SNAP-BENCH...
set -euo pipefail

what=$1
shift
top=$(cd "$(dirname "$0")/../.." && pwd)
bench=$top/build/tools/snap-bench
status=0

# What only the guest knows of itself, for the head of the results.
grep -m 1 '^flags' /proc/cpuinfo | cut -d : -f 2 >"$SNAP_VM_SHARE/cpu-flags"
uname -r >"$SNAP_VM_SHARE/kernel"

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
