#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-stress.sh [SECONDS [PROGRAM]]
# Programs that do with sockets what nobody would: stress-ng's socket stressors
# under snap-run, and trinity restricted to AF_SNAP, each for so long (300) in
# a machine of its own. They are not asked whether they like the answers; the
# kernel's log, its leaks and the frames are.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"
seconds=${1:-300}

programs=(stress-ng trinity)
[[ -z ${2:-} ]] || programs=("$2")
for program in "${programs[@]}"; do
    name=stress/$program status=0
    say "$program, $seconds s"
    mkdir -p "$SNAP_LOGS/stress"
    vm "$name" --timeout $((seconds + 300)) \
        -- "selftests/stress/guest.sh $program $seconds" \
        >"$SNAP_LOGS/$name.out" 2>&1 || status=$?
    grep -E '^sockets at once' "$SNAP_LOGS/$name.out" || true
    report "$status" "the machine is well after $program"
    ((status == 0)) || tail -n 40 "$SNAP_LOGS/$name.out"
done
finish
