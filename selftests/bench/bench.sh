#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bench.sh [ROW...]: measures the rows of snap-bench(1), all of them without an
# argument, in machines one after another: one for times, one with four processors
# for rows that want them, and one whose clock counts instructions, for these and,
# once more with snap_count.ko, for what the kernel copies and allocates.
#
# Leaves results.json, table.rst and plots in Documentation/performance; with
# QUICK=1 in build/bench/quick, where short rounds tell little.  Needs two processors
# that nobody else uses; SMP=N: of the guest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tools/setup/lib.sh"
cd "$SNAP_TOP"

bench=$SNAP_BUILD/tools/snap-bench
if [[ -n ${QUICK:-} ]]; then
    out=$SNAP_BUILD/bench/quick
    plan=(--rounds 5 --milliseconds 40 --attempts 1)
    once=(--rounds 1 --milliseconds 5 --attempts 1)
else
    out=$SNAP_TOP/Documentation/performance
    plan=(--rounds 7 --milliseconds 300 --attempts 3)
    once=(--rounds 1 --milliseconds 50 --attempts 1)
fi
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

# machine NAME OPTION... -- COMMAND: one with both interfaces and the other end.
machine() {
    local name=bench/$1
    shift
    "$here/../vm/snap-vm" --name "$name" --mtu 65000 --virtio-net \
        --timeout 7200 \
        --extra "-name bench,debug-threads=on -pidfile $SNAP_LOGS/$name/qemu.pid" \
        --host "exec $bench --pid-file $SNAP_LOGS/$name/qemu.pid serve" "$@"
}

mapfile -t rows < <("$bench" list "$@")
((${#rows[@]})) || die "no such row: $*"
mapfile -t alone < <(printf '%s\n' "${rows[@]}" | grep -v '^processors-')
mapfile -t at_once < <(printf '%s\n' "${rows[@]}" | grep '^processors-')
kvm=()
[[ $accelerator == tcg ]] || kvm=(--kvm)
# A row that fails is in the results, and says why.
status=0

# times NAME PROCESSORS ROW...
times() {
    local name=$1 smp=$2
    shift 2
    (($#)) || return 0
    say "times of $# rows, $smp processors ..."
    machine "$name" --smp "$smp" "${kvm[@]}" -- "$here/guest.sh" times \
        "${plan[@]}" run "$@" || status=$?
}

rm -rf "$SNAP_LOGS/bench"
times times "${SMP:-1}" "${alone[@]}"
times processors 4 "${at_once[@]}"
say "instructions and calls ..."
machine counts --icount -- "$here/guest.sh" counts "${once[@]}" run "${rows[@]}" ||
    status=$?

say "table and plots ..."
/usr/bin/python3 "$here/report.py" "$SNAP_LOGS/bench" "$accelerator" "$out"
for data in "$out"/*.dat; do
    [[ -e $data ]] || continue
    gnuplot -e "data='$data'; picture='${data%.dat}.png'" "$here/plot.gp"
    rm "$data"
done
say "results: $out/results.json"
exit "$status"
