#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's part of net.sh.
#   net-guest.sh SECONDS MTU
set -euo pipefail

seconds=$1
mtu=$2
udp_bytes=$((mtu - 52 > 60000 ? 60000 : mtu - 52))
failed=0

dropped() {
    ethtool -S snap0 | awk '/ (tx|rx)_dropped:/ { n += $2 } END { print n + 0 }'
}

# Prints "Mbit/s received, lost %" of one run.
measure() {
    local host=$1
    shift
    local out
    out=$(iperf3 -c "$host" -p 5201 -t "$seconds" -J "$@" 2>/dev/null) ||
        echo "$out" | grep -m1 '"error"' >&2
    python3 -c '
import json, sys
end = json.load(sys.stdin)["end"]
got = end.get("sum_received") or end["sum"]
print("%.0f %.2f" % (got["bits_per_second"] / 1e6, got.get("lost_percent", 0)))
' <<<"$out" 2>/dev/null
}

row() {
    local name=$1 host=$2
    shift 2
    local result before after
    before=$(dropped)
    if result=$(measure "$host" "$@"); then
        after=$(dropped)
        printf '%-12s %-14s %8s Mbit/s, lost %s%%, snap0 dropped %d\n' \
            "MTU $mtu" "$name" "${result% *}" "${result#* }" \
            $((after - before))
        if [[ $name == snap-tcp* && $after -ne $before ]]; then
            echo "not ok: snap0 dropped packets under TCP"
            failed=1
        fi
    else
        echo "not ok: $name broke"
        failed=1
    fi
}

for host in 10.77.0.1 fd77::1; do
    ping -c 3 -i 0.2 -s $((mtu - 48)) "$host" | tail -2 || failed=1
done
row snap-tcp-out 10.77.0.1
row virtio-tcp-out 10.78.0.1
row snap-tcp-in 10.77.0.1 -R
row virtio-tcp-in 10.78.0.1 -R
row snap-udp-out 10.77.0.1 -u -b 0 -l "$udp_bytes"
row virtio-udp-out 10.78.0.1 -u -b 0 -l "$udp_bytes"
# The host would send faster than an emulated machine can even drop.
row snap-udp-in 10.77.0.1 -R -u -b 300M -l "$udp_bytes"
row virtio-udp-in 10.78.0.1 -R -u -b 300M -l "$udp_bytes"
ping -c 3 -i 0.2 10.77.0.1 >/dev/null || failed=1
exit $failed
