# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared by tests that are scripts: results in the manner of kselftest. The
# script ends with `exit $((failures != 0))`; it removes $work itself.

work=$(mktemp -d)
number=0
failures=0

# check NAME COMMAND...: one more result, with what the command printed.
check() {
    local name=$1
    shift
    number=$((number + 1))
    if "$@" >"$work/out" 2>&1; then
        echo "ok $number $name"
    else
        failures=$((failures + 1))
        echo "not ok $number $name"
    fi
    sed 's/^/# /' "$work/out"
}
