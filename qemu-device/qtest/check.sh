#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the device's qtests against the plug-in and against the one with
# sanitizers, at the same time: check.sh [--plain|--asan] [TEST-PATH]...
# A path is one of the device: /snap/tx. Without one also asks the plug-in
# itself: that it refuses what it is not made for, and that a fault would be
# seen.
# Prints TAP, and as the last line the sum.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
qemu=$top/build/qemu
builds=(plain asan)
case ${1:-} in
--plain) builds=(plain) && shift ;;
--asan) builds=(asan) && shift ;;
--*) echo "usage: check.sh [--plain|--asan] [TEST-PATH]..." >&2 && exit 2 ;;
esac
paths=()
for path in "$@"; do
    paths+=(-p "/x86_64$path")
done

[[ -x $qemu/snap-test ]] || {
    echo "check.sh: no $qemu/snap-test: run tools/setup/build-plugin" >&2
    exit 2
}
passed=0 failed=0 skipped=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# QEMU does not free everything at exit: leaks are no finding here.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

qtest() {
    local folder=$qemu
    [[ $1 == plain ]] || folder=$qemu/$1
    QTEST_QEMU_BINARY=$folder/qemu-system-x86_64 \
        "$qemu/snap-test" --tap "${paths[@]}" >"$logs/$1" 2>&1
}

# count TAP-FILE EXIT-CODE: add up its lines; a program that dies without a
# "not ok" (a crash of the test itself, a sanitizer report at exit) is a
# failure, too.
count() {
    local bad
    bad=$(grep -c '^not ok' "$1" || true)
    if (($2 != 0 && bad == 0)); then
        echo "not ok - the program ended with code $2"
        bad=1
    elif ((bad == 0)) && ! grep -q '^ok' "$1"; then
        echo "not ok - no test has run"
        bad=1
    fi
    failed=$((failed + bad))
    skipped=$((skipped + $(grep -ci '^ok.*# skip' "$1" || true)))
    passed=$((passed + $(grep -i '^ok' "$1" | grep -civ '# skip' || true)))
}

# says TEXT EXPRESSION COMMAND...: it must end with an error, and say so.
says() {
    local text=$1 expression=$2 status=0
    shift 2
    timeout 30 "$@" >"$logs/said" 2>&1 || status=$?
    if ((status != 0 && status != 124)) &&
        grep -Eq -- "$expression" "$logs/said"; then
        passed=$((passed + 1))
        echo "ok - $text"
    else
        failed=$((failed + 1))
        echo "not ok - $text (status $status)"
        head -n 5 "$logs/said" | sed 's/^/# /'
    fi
}

# A plug-in that is the same, but for the version that it was built for.
other_version() {
    local version
    version=$(sed -n 's/^QEMU \(.*\), of Debian.*/\1/p' "$qemu/about")
    mkdir "$logs/other"
    cp "$qemu"/snap-{qemu,device.so} "$logs/other/"
    sed "s/${version//./\\.}/9${version:1}/" "$qemu/snap-qemu.so" \
        >"$logs/other/snap-qemu.so"
}

# What QEMU says at the start: one word of it must be right, or it would stay.
starts() {
    local text=$1 expression=$2
    shift 2
    says "$text" "$expression" "$qemu/snap-qemu" -M q35 -nodefaults \
        -display none -S "$@"
}

start() {
    echo "# start"
    starts "windows without mappings of the host are told of" \
        'snap: [0-9]+ of 4194304 window pages have no mapping.*max_map_count' \
        -device snap,window-size=16G -device no-such-device
    starts "and those of a second device" \
        'snap: 1024 of 1024 window pages have no mapping.*max_map_count' \
        -device snap,window-size=16G -device snap,pool-size=4M \
        -device no-such-device
    starts "a state from elsewhere is refused" \
        'snap: .* does not support migration: start without -incoming' \
        -incoming defer -device snap
    starts "record and replay is refused" \
        'snap: .* does not support record and replay' \
        -icount "shift=0,rr=record,rrfile=$logs/replay" -device snap
    starts "a thread wants a tap" \
        'snap: datapath=thread is not possible: the netdev is no tap' \
        -netdev hubport,id=n0,hubid=0 -device snap,netdev=n0,datapath=thread
    starts "and a backend at all" \
        'snap: datapath=thread is not possible: there is no netdev' \
        -device snap,datapath=thread
    starts "a path that there is not is refused" "does not accept value 'fast'" \
        -device snap,datapath=fast
}

# As says, where there is KVM.
under_kvm() {
    if [[ -w /dev/kvm ]]; then
        says "$@"
    else
        skipped=$((skipped + 1))
        echo "ok - $1 # SKIP no /dev/kvm"
    fi
}

# As somebody who gets no trap for the kernel's stores.
unprivileged() {
    local nobody=("$top/selftests/vm/qemu-without-trap" --unprivileged)
    echo "# unprivileged"
    under_kvm "share fails under KVM without a trap for it, and says what helps" \
        'to share under KVM.* let it open /dev/userfaultfd' \
        "${nobody[@]}" -M q35 -accel kvm -nodefaults -display none -S \
        -device snap,capture=share
    under_kvm "auto copies then, and says so" \
        'warning: snap: captures copy, and .*let it open /dev/userfaultfd' \
        "${nobody[@]}" -M q35 -accel kvm -nodefaults -display none -S \
        -device snap -device no-such-device
    # Only the code of QEMU itself stores under TCG.
    says "under TCG the same QEMU shares" "'no-such-device' is not a valid" \
        "${nobody[@]}" -M q35 -accel tcg -nodefaults -display none -S \
        -device snap,capture=share -device no-such-device
}

plugin() {
    local machine=(-machine none -display none -S)
    echo "# plug-in"
    says "another program refuses the plug-in" \
        'snap-qemu.so: .*true is not a QEMU' \
        env LD_PRELOAD="$qemu/snap-qemu.so" /bin/true
    other_version
    says "another QEMU refuses the plug-in" \
        'snap-qemu.so: built for QEMU 9.*, but this is' \
        "$logs/other/snap-qemu" "${machine[@]}"
    says "a PCIDevice that is laid out otherwise is refused" \
        'snap-device.so: a PCIDevice of this QEMU is laid out otherwise' \
        env SNAP_QEMU_FAULT=layout "$qemu/asan/snap-qemu" "${machine[@]}"
    says "a bad address is seen" 'AddressSanitizer: heap-buffer-overflow' \
        env SNAP_QEMU_FAULT=address "$qemu/asan/snap-qemu" "${machine[@]}"
    says "undefined behaviour is seen" 'runtime error: shift' \
        env SNAP_QEMU_FAULT=undefined "$qemu/asan/snap-qemu" "${machine[@]}"
}

declare -A pid=()
for build in "${builds[@]}"; do
    qtest "$build" &
    pid[$build]=$!
done
(($#)) || { plugin && start && unprivileged; }
for build in "${builds[@]}"; do
    code=0
    wait "${pid[$build]}" || code=$?
    echo "# $build"
    grep -Ev '^# (starting QEMU|GLib-)|support makecontext' "$logs/$build" || true
    count "$logs/$build" "$code"
done

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
