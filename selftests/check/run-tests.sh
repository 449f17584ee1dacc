#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run-tests.sh FOLDER TEST...
# Runs built tests with kselftest's own runner, in the guest, and counts the
# cases inside of them.  Exit status 0 only if nothing failed.  SNAP_TEST_ARGS in
# the environment are arguments of all programs, but not of scripts.
set -o pipefail

folder=$1
shift
export BASE_DIR=$folder/base
cd "$BASE_DIR/snap" || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# One that cannot even start must not pass unseen.
run() {
    # shellcheck disable=SC1091 # of the kernel's source package
    . "$BASE_DIR/kselftest/runner.sh"
    for test; do
        [[ -z ${SNAP_TEST_ARGS:-} || $test == *.sh ]] ||
            export "KSELFTEST_${test^^}_ARGS=$SNAP_TEST_ARGS"
    done
    run_many "$@"
}
(run "$@") 2>&1 | tee "$log"

# A program of the harness gives its totals; a script is one case.
awk -v wanted=$# '
    /^# # Totals:/ {
        for (i = 1; i <= NF; i++)
            if (split($i, part, ":") == 2)
                count[part[1]] += part[2]
        totals = 1
    }
    /^(ok|not ok) [0-9]/ {
        seen++
        bad = /^not ok/
        if (!totals)
            count[bad ? "fail" : /# SKIP/ ? "skip" : "pass"]++
        else if (bad)
            failed++
        totals = 0
    }
    END {
        count["fail"] += count["error"]
        missing = wanted - seen
        if (missing > 0)
            count["fail"] += missing
        # a program that fails without a failed case: killed, timed out
        if (failed && !count["fail"])
            count["fail"] = failed
        printf "%d passed, %d failed, %d skipped\n",
            count["pass"], count["fail"], count["skip"]
        exit count["fail"] > 0 || failed > 0
    }' "$log"
