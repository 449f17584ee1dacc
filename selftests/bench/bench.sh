#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bench.sh [ROW...]: measures the rows of snap-bench(1), all of them without an
# argument, in machines one after another: one for times, one with four processors
# for rows that want them, two that are connected with each other, and one whose
# clock counts instructions, for these and, once more with snap_count.ko, for what
# the kernel copies and allocates.
#
# Leaves results.json, table.rst, costs.rst and plots in build/bench/all, and in
# Documentation/performance if no machine died; of some rows in build/bench/rows;
# with QUICK=1 in build/bench/quick, where short rounds tell little.  Needs two
# processors that nobody else uses; SMP=N: of the guest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tools/setup/lib.sh"
cd "$SNAP_TOP"

bench=$SNAP_BUILD/tools/snap-bench
if [[ -n ${QUICK:-} ]]; then
    kind=quick
    plan=(--rounds 5 --milliseconds 40 --attempts 1)
    once=(--rounds 1 --milliseconds 5 --attempts 1)
else
    kind=$( (($#)) && echo rows || echo all)
    plan=(--rounds 7 --milliseconds 300 --attempts 3)
    once=(--rounds 1 --milliseconds 50 --attempts 1)
fi
out=$SNAP_BUILD/bench/$kind
rm -rf "$out"
mkdir -p "$out"

# KVM where it runs a guest of ours to its end, and not only where it is.
accelerator=tcg
if [[ -w /dev/kvm ]]; then
    say "does KVM run a guest? ..."
    if selftests/vm/snap-vm --name bench/kvm --kvm --smp 1 --timeout 20 \
        --netdev none -- true >/dev/null 2>&1; then
        accelerator=kvm
    fi
fi
say "accelerator: $accelerator"

# Another way to the host, beside which ours is measured.
vsock=
[[ ! -w /dev/vhost-vsock ]] || vsock='-device vhost-vsock-pci,guest-cid=77'

# These two are called by name.
# shellcheck disable=SC2317
# machine NAME OPTION... -- COMMAND: one with both interfaces and the other end.
machine() {
    local name=bench/$1 pid
    shift
    # snap-vm and a shell of its take them apart
    printf -v pid %q "$SNAP_LOGS/$name/qemu.pid"
    "$here/../vm/snap-vm" --name "$name" --mtu 65000 --virtio-net \
        --timeout 7200 \
        --extra "-name bench,debug-threads=on -pidfile $pid $vsock" \
        --host "exec $(printf %q "$bench") --pid-file $pid serve" "$@"
}

# shellcheck disable=SC2317
# pair NAME OPTION... -- COMMAND: two machines that are connected with each other.
# In a shell of its own: the other one ends with it.
pair() (
    local name=bench/$1 link other status=0
    shift
    link=$(mktemp -d) || return
    trap 'rm -rf "$link"' EXIT
    trap 'exit 130' INT TERM
    "$here/../vm/snap-vm" --name "$name-other" --mtu 65000 --virtio-net --smp 1 \
        --timeout 7200 --listen "$link/link" "${kvm[@]}" -- "$here/guest.sh" serve &
    other=$!
    trap 'kill "$other" 2>/dev/null || true; rm -rf "$link"' EXIT
    "$here/../vm/snap-vm" --name "$name" --mtu 65000 --virtio-net --timeout 7200 \
        --connect "$link/link" "$@" || status=$?
    # Its share is not there if it has ended by itself.
    : 2>/dev/null >"$SNAP_LOGS/$name-other/guest/share/end" || true
    wait "$other" || status=$?
    trap 'rm -rf "$link"' EXIT
    exit "$status"
)

mapfile -t rows < <("$bench" list "$@")
((${#rows[@]})) || die "no such row: $*"
mapfile -t alone < <(printf '%s\n' "${rows[@]}" | grep -Ev '^(processors|checkpoint|guests)-')
mapfile -t at_once < <(printf '%s\n' "${rows[@]}" | grep -E '^(processors|checkpoint)-')
mapfile -t paired < <(printf '%s\n' "${rows[@]}" | grep '^guests-')
kvm=()
[[ $accelerator == tcg ]] || kvm=(--kvm)
# A row that fails is in the results, and says why.
status=0

# times HOW NAME OPTION... -- ROW...: HOW is machine or pair.
times() {
    local how=$1
    shift
    local -a options=()
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    "$how" "${options[@]}" "${kvm[@]}" -- "$here/guest.sh" times "${plan[@]}" run \
        "${@:2}" || status=$?
}

# counts HOW NAME ROW...: what does not depend on how long it takes.
counts() {
    local how=$1 name=$2
    shift 2
    "$how" "$name" --icount -- "$here/guest.sh" counts "${once[@]}" run "$@" ||
        status=$?
}

rm -rf "$SNAP_LOGS/bench"
if ((${#alone[@]})); then
    say "times of ${#alone[@]} rows ..."
    times machine times --smp "${SMP:-1}" -- "${alone[@]}"
fi
if ((${#at_once[@]})); then
    say "times of ${#at_once[@]} rows, 4 processors ..."
    times machine processors --smp 4 -- "${at_once[@]}"
fi
if ((${#paired[@]})); then
    say "times of ${#paired[@]} rows between two machines ..."
    times pair guests --smp 1 -- "${paired[@]}"
    say "instructions and calls of these ..."
    counts pair guests-counts "${paired[@]}"
fi
if ((${#alone[@]} + ${#at_once[@]})); then
    say "instructions and calls of the others ..."
    counts machine counts "${alone[@]}" "${at_once[@]}"
fi

say "table and plots ..."
/usr/bin/python3 "$here/report.py" "$SNAP_LOGS/bench" "$accelerator" "$out"
for data in "$out"/*.dat; do
    [[ -e $data ]] || continue
    gnuplot -e "data='$data'; picture='${data%.dat}.png'" "$here/plot.gp"
    rm "$data"
done
# left MACHINE FILE...: what it has measured, or died before.
left() {
    local file
    for file in "${@:2}"; do
        [[ -s $SNAP_LOGS/bench/$1/guest/share/$file.json ]] || return
    done
}
if [[ $kind == all ]]; then
    if left times times && left processors times && left guests times &&
        left counts instructions calls && left guests-counts instructions calls; then
        out=$SNAP_TOP/Documentation/performance
        mkdir -p "$out"
        rm -f "$out"/*.png
        cp "$SNAP_BUILD/bench/all"/* "$out/"
    else
        say "a machine died: Documentation/performance stays as it is"
        status=1
    fi
fi
say "results: $out/results.json"
exit "$status"
