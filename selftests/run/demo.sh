#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Moves data between an AF_SNAP program in a machine and socat on the host,
# both ways, compares checksums, and prints what it cost. Logs and numbers
# stay in build/logs/run. Exit code 0: everything arrived, and the guest sent
# by reference and received by view.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
export SNAP_VM_SHARE=$top/build/logs/run/guest/share
. "$here/plan.sh"
. "$top/tools/setup/lib.sh"

say "booting the machine in $(<"$top/build/qemu/about") ..."
"$top/selftests/vm/snap-vm" --name run --mtu "$mtu" --timeout 150 \
    --peer 'selftests/run/host.sh receive' \
    --peer 'selftests/run/host.sh send' "$@" \
    -- selftests/run/guest.sh

# value DIRECTION NAME: from either end's report; 0 if it is not there.
value() {
    local -a files=()
    local end
    for end in guest host; do
        [[ ! -e $share/$1.$end ]] || files+=("$share/$1.$end")
    done
    ((${#files[@]} == 0)) && echo 0 && return
    awk -v name="$2" '$1 == name { print $2; found = 1; exit }
        END { if (!found) print 0 }' "${files[@]}"
}

sum() {
    local total=0 name
    for name in "${@:2}"; do
        total=$((total + $(value "$1" "$name")))
    done
    echo "$total"
}

# Page allocations of the whole guest, without those of the program's start.
# That one differs from run to run by a few pages: whole pages are what is sure.
pages_per_message() {
    local pages=$(($(value to-host pages) - $(value idle pages)))
    echo $(((pages + messages / 2) / messages))
}

row() { printf '  %-38s %18s %18s\n' "$@"; }

compare() { # NAME COUNTER
    row "$1" "$(value to-host "$2")" "$(value to-guest "$2")"
}

echo
row "" "guest to host" "host to guest"
row "messages" \
    "$(sum to-host tx_ref_msgs tx_copied_msgs)" "$(value to-guest rx_msgs)"
row "bytes" "$(sum to-host tx_ref_bytes tx_copied_bytes)" \
    "$(sum to-guest rx_copied_bytes rx_viewed_bytes)"
row "bytes by reference" "$(value to-host tx_ref_bytes)" -
row "bytes copied by send()" "$(value to-host tx_copied_bytes)" -
"$top/build/tools/snapctl" reasons | while read -r reason text; do
    copied=$(value to-host "copied.$reason.msgs")
    [[ $copied == 0 ]] ||
        row "  $text, messages" "$copied" -
done
row "bytes received by view" - "$(value to-guest rx_viewed_bytes)"
row "bytes copied by recvmsg()" - "$(value to-guest rx_copied_bytes)"
row "exits (doorbells, takes, arms)" \
    "$(sum to-host device.doorbells device.takes device.arms)" \
    "$(sum to-guest device.doorbells device.takes device.arms)"
compare "write faults" device.write_faults
compare "interrupts" device.interrupts
row "page allocations per message" "$(pages_per_message)" -
compare "bytes the device captured by copy" device.copied_bytes
compare "bytes it captured by share" device.shared_bytes
echo "  (The empty message that marks the end is always copied.)"
echo

failed=0
for direction in to-host to-guest; do
    sent=$(value "$direction" sent_sha256)
    received=$(value "$direction" received_sha256)
    if [[ ${#sent} == 64 && $sent == "$received" ]]; then
        echo "  $direction: sha256 $sent at both ends"
    else
        echo "  $direction: sha256 DIFFERS: sent $sent," \
            "received $received; $(value "$direction" received_bytes) of" \
            "$(value "$direction" sent_bytes) bytes arrived"
        failed=1
    fi
done
if [[ $(value to-host tx_ref_bytes) == 0 ]]; then
    echo "  to-host: nothing went by reference"
    failed=1
fi
if [[ $(value to-guest rx_viewed_bytes) == 0 ]]; then
    echo "  to-guest: nothing was received by view"
    failed=1
fi
exit "$failed"
