#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Build and test the engine three ways: plain, with the address and undefined
# behaviour sanitizers, with the thread sanitizer (the tests with threads);
# then fuzz it for a minute.
# Usage: check.sh [plain|asan|tsan|fuzz ...]
# The last line is "N passed, N failed, N skipped"; the exit status says if
# all is well.
set -euo pipefail

engine=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$engine/../.." && pwd)/build
logs=$build/logs
mkdir -p "$logs"

passed=0 failed=0 skipped=0

# Print the number in front of " tests" on the last line that has this tag.
count() { # tag log
    sed -n "s/^\[ *$1 *\] \([0-9]*\) test.*/\1/p" "$2" | tail -n 1
}

fail() { # message log
    echo "FAILED: $1; see $2"
    failed=$((failed + 1))
}

run_tests() { # flavour program
    local log=$logs/engine-$1-$2.log status=0 ran p f s timeout
    timeout=${SNAPMEM_TIMEOUT:-300}
    # 20 model tests: a million operations, and a tenth of that under the
    # thread sanitizer, which is that much slower.
    local -x SNAPMEM_STEPS=${SNAPMEM_STEPS:-50000}
    [[ $1 != tsan ]] || SNAPMEM_STEPS=$((SNAPMEM_STEPS / 10))
    # What is suppressed is known by its stack, which may be long ago.
    local tsan=suppressions=$engine/tests/tsan.supp:history_size=7
    ASAN_OPTIONS=strict_string_checks=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        TSAN_OPTIONS=halt_on_error=1:$tsan \
        timeout "$timeout" "$build/engine-$1/tests/snapmem-test-$2" \
        >"$log" 2>&1 || status=$?
    p=$(count PASSED "$log")
    f=$(count FAILED "$log")
    s=$(count SKIPPED "$log")
    ran=$(sed -n 's/^\[=*\] \([0-9]*\) tests* from .* ran\..*/\1/p' "$log")
    passed=$((passed + ${p:-0}))
    failed=$((failed + ${f:-0}))
    skipped=$((skipped + ${s:-0}))
    echo "$1 $2: ${p:-0} passed, ${f:-0} failed, ${s:-0} skipped"
    if ((${s:-0} > 0)); then
        # The reason stands below the place it was given at.
        sed -n '/: Skipped$/{n;s/^/  skipped: /p}' "$log" | sort | uniq -c
    fi
    if [[ -z $ran || ( $status -ne 0 && ${f:-0} -eq 0 ) ]]; then
        tail -n 40 "$log"
        fail "$1 $2 ended with status $status" "$log"
    elif [[ $status -ne 0 ]]; then
        grep -B 20 '^\[  FAILED' "$log" | head -n 60 || true
        echo "FAILED: $1 $2; see $log"
    fi
}

flavour() { # name sanitizer programs...
    local name=$1 sanitizer=$2
    local dir=$build/engine-$1 log=$logs/engine-$1-build.log
    local -a targets=()
    shift 2
    # The option of a tree that is there may differ: set it again.
    if [[ -f $dir/build.ninja ]]; then
        meson configure "$dir" -Dtests=true >/dev/null
    elif ! meson setup "$dir" "$engine" --werror -Dtests=true -Ddebug=true \
        -Doptimization="$([[ $sanitizer == none ]] && echo 2 || echo 1)" \
        -Db_sanitize="$sanitizer" >"$log" 2>&1; then
        tail -n 20 "$log"
        fail "$name: meson setup" "$log"
        return
    fi
    for program; do targets+=("tests/snapmem-test-$program"); done
    if ! ninja -C "$dir" "${targets[@]}" >"$log" 2>&1; then
        grep -E -A 5 'error|FAILED' "$log" | head -n 40
        fail "$name: build" "$log"
        return
    fi
    for program; do run_tests "$name" "$program"; done
}

fuzz() {
    local log=$logs/engine-fuzz.log line p=0 f=0 s=0
    "$engine/fuzz/fuzz.sh" "${SNAPMEM_FUZZ_SECONDS:-60}" 2>&1 | tee "$log" |
        sed '$d' || true
    line=$(tail -n 1 "$log")
    [[ $line == *" passed, "*" failed, "*" skipped" ]] ||
        line="0 passed, 1 failed, 0 skipped"
    read -r p _ f _ s _ <<<"$line"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    echo "fuzz: $line"
}

for name in "${@:-plain asan tsan fuzz}"; do
    for one in $name; do
        case $one in
        plain) flavour plain none units injection packets threads ;;
        asan) flavour asan address,undefined units injection packets threads ;;
        tsan) flavour tsan thread packets threads ;;
        fuzz) fuzz ;;
        *)
            echo "check.sh: no such flavour: $one" >&2
            exit 2
            ;;
        esac
    done
done

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
