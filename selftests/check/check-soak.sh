#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-soak.sh [MINUTES]
# One machine for so long (20) with all kinds of traffic and snapshots at once
# (soak.sh), programs that are killed, and a link that goes down and up.  Afterwards
# all frames are home, the kernel has not complained, and QEMU's own memory is not
# larger than after a quarter of the time, but for growth_max.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"
minutes=${1:-20}
[[ $minutes =~ ^[1-9][0-9]*$ ]] || die "not a number of minutes: $minutes"
growth_max=16384 # KiB

name=soak status=0
logs=$SNAP_LOGS/$name
pid=$(printf %q "$logs/qemu.pid")
say "$minutes min"
# The guest's memory is shared, and code that is translated is thrown away in time:
# what is private then is QEMU's own.
machine "$name" --timeout $((minutes * 60 + 900)) --smp 2 --queues 2 --virtio-net \
    --capture auto --monitor --tcg-opts ,tb-size=64 \
    --extra "-pidfile $pid -machine memory-backend=memory
        -object memory-backend-memfd,id=memory,size=1G" \
    --host "exec selftests/stress/soak-host.sh link" \
    --host "exec selftests/stress/soak-host.sh memory $pid >\$SNAP_VM_LOGS/memory" \
    -- "selftests/stress/soak.sh $((minutes * 60))" || status=$?
rm -f "$logs/tap.pcap"
sed 's/^/# /' "$logs.tap"
report "$status" "the machine is well, and all frames are home"

kinds=$(grep -Ec '^[a-z]+: [1-9][0-9]* ended' "$logs.tap") || true
report "$((kinds != 7))" "each of 7 kinds got through ($kinds)"
right=$(grep -Ec '^(versions|checkpoints|commits|loopback): .*, 0 failed$' \
    "$logs.tap") || true
report "$((right != 4))" "4 kinds that need no link never failed ($right)"

# seconds and KiB: sets first, after a quarter of the time, last and most
read -r first last most < <(awk -v warm=$((minutes * 15)) '
    $1 >= warm { if (!first) first = $2; last = $2; if ($2 > most) most = $2 }
    END { print first + 0, last + 0, most + 0 }' "$logs/memory")
report "$((first == 0 || most - first > growth_max))" \
    "QEMU's memory is flat: $first KiB at first, $last at last, $most at most"
finish
