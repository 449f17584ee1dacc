#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# profile.sh ROW [FUNCTION]: where the guest's instructions go in a row of
# snap-bench(1), by function of the kernel, ours and the peer's: counted, not
# sampled, and so the same on a busy machine.  Divided by the calls of FUNCTION,
# which is do_syscall_64: mostly one for each message.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tools/setup/lib.sh"
cd "$SNAP_TOP"
(($# == 1 || $# == 2)) || die "usage: ${0##*/} ROW [FUNCTION]"

bench=$SNAP_BUILD/tools/snap-bench
[[ $("$bench" list "$1" | wc -l) == 1 ]] || die "no such row: $1"
logs=$SNAP_LOGS/bench/profile
plugin=$SNAP_BUILD/bench/count.so
rm -rf "$logs"
mkdir -p "$logs" "$SNAP_BUILD/bench"

source=$("$SNAP_TOP/tools/setup/fetch-qemu" | sed -n 's/^source=//p')
[[ -d $source ]] || die "no QEMU source, see $SNAP_LOGS/fetch-qemu.log"
read -ra glib < <(pkg-config --cflags glib-2.0)
run_step "building the counter" "$SNAP_LOGS/bench/count.log" \
    c++ -std=c++20 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$plugin" \
    "$here/profile/count.cpp" -iquote "$source/include/qemu" "${glib[@]}"

printf -v counts %q "$logs/counts"
# In the guest's shell.
# shellcheck disable=SC2016
"$here/../vm/snap-vm" --name bench/profile/machine --mtu 65000 --virtio-net --smp 1 \
    --timeout 600 --extra "-plugin $plugin,counts=$counts" \
    --host "exec $(printf %q "$bench") serve" \
    -- bash -c 'cp /proc/kallsyms "$SNAP_VM_SHARE/" && sleep 1 &&
        exec "$@" --rounds 1 --milliseconds 4000 --attempts 1 run "$0"' \
    "$1" "$bench"
/usr/bin/python3 "$here/profile/show.py" "$logs/machine/guest/share/kallsyms" \
    "$logs/counts" "${@:2}" | tee "$logs/table"
