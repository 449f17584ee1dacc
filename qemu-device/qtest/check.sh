#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the device's qtests against the plain build of QEMU and against the
# one with sanitizers: check.sh [--plain|--asan] [TEST-PATH]...
# Prints TAP, and as the last line the sum.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
builds=(plain asan)
case ${1:-} in
--plain) builds=(plain) && shift ;;
--asan) builds=(asan) && shift ;;
--*) echo "usage: check.sh [--plain|--asan] [TEST-PATH]..." >&2 && exit 2 ;;
esac
paths=()
for path in "$@"; do
    paths+=(-p "$path")
done

passed=0 failed=0 skipped=0

# count TAP-FILE EXIT-CODE: add up its lines; a program that dies without a
# "not ok" (a crash of the test itself, a sanitizer report at exit) is a
# failure, too.
count() {
    local bad
    bad=$(grep -c '^not ok' "$1" || true)
    if (($2 != 0 && bad == 0)); then
        echo "not ok - the program ended with code $2"
        bad=1
    fi
    failed=$((failed + bad))
    skipped=$((skipped + $(grep -ci '^ok.*# skip' "$1" || true)))
    passed=$((passed + $(grep -i '^ok' "$1" | grep -civ '# skip' || true)))
}

# The build has no firmware; any that is installed will do.
export SNAP_QEMU_OPTIONS="-L /usr/share/seabios -L /usr/share/qemu"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for build in "${builds[@]}"; do
    suffix="" options=()
    [[ $build == plain ]] || suffix=-asan options=(--asan)
    echo "# $build"
    if ! "$top/tools/setup/build-qemu" "${options[@]}" | sed 's/^/# /'; then
        echo "not ok - building QEMU ($build)"
        failed=$((failed + 1))
        continue
    fi
    code=0
    # QEMU does not free everything at exit: leaks are no finding here.
    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        QTEST_QEMU_BINARY=$(readlink -f "$top/build/qemu$suffix") \
        "$top/build/snap-test$suffix" --tap "${paths[@]}" >"$log" 2>&1 ||
        code=$?
    grep -Ev '^# (starting QEMU|GLib-)|support makecontext' "$log" || true
    count "$log" "$code"
done

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
