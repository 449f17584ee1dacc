#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-guest.sh [--kernel debug] [MODE...]
# Runs the selftests in the machine: each capture mode with one and with two
# processors. TAP of all runs, then the count.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

kernel=stock
if [[ ${1:-} == --kernel ]]; then
    kernel=$2
    shift 2
fi
modes=(share copy auto)
(($# == 0)) || modes=("$@")

passed=0 failed=0 skipped=0
run() { # NAME OPTIONS...
    local name=$1 log status=0 ok bad skip
    shift
    log=$top/build/logs/$name.tap
    "$top/selftests/vm/snap-vm" --name "$name" --kernel "$kernel" "$@" -- \
        make -s -C selftests run_tests | tee "$log" || status=$?
    ok=$(grep -Ec '^ok ' "$log") || true
    skip=$(grep -Ec '^ok .*# SKIP' "$log") || true
    bad=$(grep -Ec '^not ok ' "$log") || true
    # Clean results from an unclean machine are a failure too.
    if ((bad == 0 && (status != 0 || ok == 0))); then
        bad=1
    fi
    passed=$((passed + ok - skip))
    skipped=$((skipped + skip))
    failed=$((failed + bad))
}

for mode in "${modes[@]}"; do
    for smp in 1 2; do
        echo "# $kernel kernel, capture=$mode, $smp processors"
        run "guest-$kernel-$mode-$smp" --capture "$mode" --smp "$smp" \
            --timeout 900
    done
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
