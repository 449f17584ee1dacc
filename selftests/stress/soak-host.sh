#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# soak-host.sh link|memory PID-FILE
# The host's end of check-soak.sh, while the file "soak" is in the share.
# link: the monitor takes the link away and gives it back.  memory: prints seconds
# and KiB of QEMU's own memory, every few seconds; PID-FILE names its process.
set -euo pipefail

soaks() { [[ -e $SNAP_VM_SHARE/soak ]]; }

until soaks; do
    sleep 0.2
done

# set_link true|false
set_link() {
    echo '{"execute": "set_link", "arguments": {"name": "snap0", "up": '"$1"'}}'
}

case $1 in
link)
    {
        echo '{"execute": "qmp_capabilities"}'
        while soaks; do
            sleep $((4 + RANDOM % 8))
            set_link false
            sleep 1.$((RANDOM % 10))
            set_link true
        done
        sleep 2
    } | socat -t 2 - "UNIX-CONNECT:$SNAP_QMP"
    ;;
memory)
    pid=$(<"$2")
    start=$SECONDS
    # The guest's is not in it, which is shared.
    while soaks && kib=$(awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status"); do
        echo "$((SECONDS - start)) $kib"
        sleep 3
    done
    ;;
esac
