#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a datagram costs in the guest: snap-bench under -icount, where the
# guest's nanoseconds are instructions, and again in wall time, in the capture
# modes given (default: copy auto share).
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
tools=$here/../../build/tools
modes=("$@")
[[ ${#modes[@]} -gt 0 ]] || modes=(copy auto share)

for mode in "${modes[@]}"; do
    for clock in --icount --smp=1; do
        echo "capture=$mode, $([[ $clock == --icount ]] &&
            echo 'ns are guest instructions' || echo 'wall time')"
        "$here/../vm/snap-vm" --name "send-$mode$clock" --mtu 65000 \
            --capture "$mode" "$clock" --timeout 600 \
            --host 'exec socat -u -b 65536 UDP4-RECV:7009,rcvbuf=4194304 OPEN:/dev/null' \
            -- "$tools/snap-bench" -s 60000 -n 10000
    done
done
