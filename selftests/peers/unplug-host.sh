#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The host's part of the test unplug: takes the device out when the guest says
# so, by a file in the share.
set -euo pipefail

until [[ -e $SNAP_VM_SHARE/unplug ]]; do
    sleep 0.2
done
{
    echo '{"execute": "qmp_capabilities"}'
    echo '{"execute": "device_del", "arguments": {"id": "snap0"}}'
    sleep 2
} | socat -t 2 - "UNIX-CONNECT:$SNAP_QMP"
sleep infinity
