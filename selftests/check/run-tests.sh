#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run-tests.sh FOLDER TEST...
# Runs built tests with kselftest's own runner, in the guest, and counts the
# cases inside of them.  Exit status 0 only if nothing failed.  SNAP_TEST_ARGS in
# the environment are arguments of all programs, but not of scripts.
#
# A test that fails runs once more, and only if it fails again has it failed; if
# not, it is named as flaky.  One that hangs has failed at once: a second time
# would take all the time that the machine has.
set -o pipefail

folder=$1
shift
export BASE_DIR=$folder/base
cd "$BASE_DIR/snap" || exit 1
# shellcheck disable=SC1091 # of the kernel's source package
. "$BASE_DIR/kselftest/runner.sh" || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# What passed, failed and was skipped in one run. A program of the harness gives
# its totals; a script is one case.
count() {
    awk '
    /^# # Totals:/ {
        for (i = 1; i <= NF; i++)
            if (split($i, part, ":") == 2) {
                count[part[1]] += part[2]
                cases += part[2]
            }
        totals = 1
    }
    /^(ok|not ok) [0-9]/ {
        seen = 1
        bad = /^not ok/
        if (!totals)
            count[bad ? "fail" : /# SKIP/ ? "skip" : "pass"]++
    }
    END {
        fail = count["fail"] + count["error"]
        # without a failed case: killed, timed out, it could not even start, or all
        # of its cases were left out
        if (!fail && (bad || !seen || (totals && !cases)))
            fail = 1
        print count["pass"] + 0, fail, count["skip"] + 0
    }' "$log"
}

# run TEST: sets p, f and s to what it counts.
run() {
    local start=$SECONDS
    run_one snap "$1" "$number" 2>&1 | tee "$log"
    echo "# $1: $((SECONDS - start)) s"
    read -r p f s < <(count)
}

passed=0 failed=0 skipped=0 number=0
flaky=()
echo "TAP version 13"
echo "1..$#"
for test; do
    [[ -z ${SNAP_TEST_ARGS:-} || $test == *.sh ]] ||
        export "KSELFTEST_${test^^}_ARGS=$SNAP_TEST_ARGS"
    number=$((number + 1))
    run "$test"
    if ((f > 0)) && ! grep -q '^not ok .* # TIMEOUT' "$log"; then
        echo "# $test failed, once more:"
        run "$test"
        ((f > 0)) || flaky+=("$test")
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
((${#flaky[@]} == 0)) || echo "${#flaky[@]} flaky: ${flaky[*]}"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
