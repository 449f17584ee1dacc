#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Somebody takes references on pages of the pool that are none of his, as everybody
# does who looks at pages by number: packets go on, and no hold is lost.
#
# Machines: copy-1
set -uo pipefail

module=$(dirname "$(sed -n "s/^VM_MODULE='\?\([^']*\)'\?$/\1/p" \
    /run/snap-vm/settings)")/snap_test.ko
level() {
    ethtool -S snap0 | sed -n 's/^ *guest_frames: //p'
}
echo "TAP version 13"
echo "1..2"
if [[ ! -e $module ]]; then
    echo "ok 1 refs # SKIP $module is not built"
    echo "ok 2 refs # SKIP $module is not built"
    exit 4
fi
status=0
insmod "$module" run=refs
# else there would be nothing to be seen
if ! dmesg | grep -Eq 'snap_test: [1-9][0-9]* references'; then
    echo "not ok 1 packets go on # nobody took references"
    echo "not ok 2 all frames come home # nobody took references"
    exit 1
fi
if ping -q -c 3 -i 0.2 -W 2 10.77.0.1 >/dev/null; then
    echo "ok 1 packets go on"
else
    echo "not ok 1 packets go on"
    status=1
fi
rmmod snap_test
for ((i = 0; i < 20; i++)); do
    [[ $(level) != 0 ]] || break
    sleep 0.1
done
if [[ $(level) == 0 ]]; then
    echo "ok 2 all frames come home"
else
    echo "# $(level) are held"
    echo "not ok 2 all frames come home"
    status=1
fi
exit $status
