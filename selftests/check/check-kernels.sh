#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-kernels.sh [--newest | KERNEL...]
# For each series of Debian 13 that is to be had, the newest first, and the installed
# 6.12, or for the kernels named: builds the module, boots, and runs all tests of the
# guest in mode auto with two processors, and in machines of their own those in which
# the device goes. If all were asked for, the table of Documentation/kernels.rst
# becomes what came out.
#
# --newest: on the newest kernel only the tests whose head names it as a machine.
# Exit status 4: it is not to be had, and nothing was tested.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

setup=$SNAP_TOP/tools/setup
page=$SNAP_TOP/Documentation/kernels.rst
stage=kernels timeout=3000
kernels=("$@")
case $* in
--newest)
    stage=newest timeout=600
    kernels=(newest)
    ;;
"")
    list=$("$setup/fetch-kernel" --list | tac)
    mapfile -t kernels <<<"$list"$'\n'"stock"
    ;;
esac
rm -rf "${SNAP_LOGS:?}/$stage"
mkdir -p "$SNAP_LOGS/$stage"
make -s -C "$selftests" -j "$SNAP_JOBS"
read_machines

# What the table has a row for, in its order, and whether the module was built:
# "-" for a series that is not to be had.
releases=()
declare -A built

# fetch KERNEL: it, and what builds modules for it; sets release. Status 1 if there is
# nothing to test.
fetch() {
    local log=$SNAP_LOGS/$stage/fetch-$1.log status=0
    { "$setup/fetch-compiler" && "$setup/fetch-kernel" "$1"; } 2>&1 |
        tee "$log" || status=$?
    release=$(tail -n 1 "$log")
    case $status in
    0) release=${release##*/} ;;
    3)
        echo "ok $((passed + failed + ++skipped)) $1 # SKIP $release"
        releases+=("$1")
        built[$1]=-
        return 1
        ;;
    *)
        report 1 "$1 is fetched"
        return 1
        ;;
    esac
}

# build KERNEL: the reason is the first that the probes or the compiler give.
build() {
    local log=$SNAP_LOGS/build-kmod-$1.log status=0 why
    "$setup/build-kmod" "$1" || status=1
    why=$(grep -E '^snap: |error:' "$log" | head -n 1) || true
    built[$release]=yes
    ((status == 0)) || built[$release]=no
    report "$status" "snap.ko is built for $release${why:+: $why}"
    return "$status"
}

# boot KERNEL: the machine with the tests, and those of tests alone.
boot() {
    local test
    # torn is about the device: a tenth will do, as in the debug kernel
    local -a env=(--env SNAP_MANY_FRAMES=1000000 --env SNAP_TORN_SNAPSHOTS=1000)
    tests=("${suite[@]}")
    if [[ $stage == newest ]]; then
        tests_of newest
        env=(--env "SNAP_TEST_ARGS=$(without_controls)")
    fi
    begin "$stage/$release" 2 ends machine "$stage/$release" --kernel "$1" \
        --virtio-net --capture auto --smp 2 --timeout "$timeout" "${env[@]}" -- \
        make -s -C selftests run_tests TESTS="${tests[*]}"
    for test in unplug unread queues; do
        [[ $stage != newest ]] || wants "$test" newest || continue
        options_of "$test"
        begin "$stage/$release-$test" 2 ends machine "$stage/$release-$test" \
            --kernel "$1" --capture auto --smp 2 "${options[@]}" -- \
            make -s -C selftests run_tests TESTS="$test"
    done
}

# row RELEASE: what its machines have counted. One that had a command to run had
# booted, and loaded the module.
row() {
    local boots=no failures
    if [[ ${built[$1]} == - ]]; then
        printf '%-24s  -       -      -       -       -        not to be had\n' "$1"
        return
    fi
    local logs=("$SNAP_LOGS/$stage/$1"*.tap)
    [[ ! -s $SNAP_LOGS/$stage/$1/guest/boot-seconds ]] || boots=yes
    failures=$({
        sed -n 's/^not ok [0-9]* selftests: snap: \([^ ]*\).*/\1/p' "${logs[@]}" |
            sort -u
        sed -n 's/^[0-9]* flaky: //p' "${logs[@]}" | tr ' ' '\n'
    } 2>/dev/null | sort | uniq -u | paste -sd ' ')
    cat "${logs[@]}" 2>/dev/null | awk -v name="$1" -v built="${built[$1]}" \
        -v boots="$boots" -v failures="$failures" '
    /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
    END {
        printf "%-24s  %-6s  %-5s  %6d  %6d  %7d%s\n", name, built, boots, p, f,
            s, failures ? "  " failures : ""
    }'
}

table() {
    local rule='========================  ======  =====  ======  ======  =======  ========='
    echo "$rule"
    echo 'kernel                    builds  boots  passed  failed  skipped  failed in'
    echo "$rule"
    for release in "${releases[@]}"; do
        row "$release"
    done
    echo "$rule"
}

# Between two comments of the page, each of which ends with an empty line.
write_table() {
    { echo && table && echo; } | sed -i -e '/^\.\. table: begin/,/^\.\. table: end/ {
        /^\.\. table: begin/ { p; r /dev/stdin
        }
        /^\.\. table: end/ ! d
    }' "$page"
}

for kernel in "${kernels[@]}"; do
    if [[ $kernel == stock ]]; then
        release=$(find /boot -maxdepth 1 -name 'vmlinuz-6.12.*-amd64' \
            -printf '%f\n' | sort -V | tail -n 1)
        release=${release#vmlinuz-}
    else
        fetch "$kernel" || continue
    fi
    # In Debian 13 the installed one is among those.
    [[ -z ${built[$release]:-} ]] || continue
    releases+=("$release")
    ! build "$kernel" || boot "$kernel"
done
await_all
if ((passed + failed == 0)); then
    finish
    exit 4
fi
table
(($#)) || write_table
finish
