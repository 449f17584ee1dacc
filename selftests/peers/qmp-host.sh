#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The host's part of the tests unplug and refused: takes something out of the machine
# when the guest says so, by a file COMMAND.ID in the share; the monitor gets both.
set -euo pipefail

until file=$(compgen -G "$SNAP_VM_SHARE/*_del.*"); do
    sleep 0.2
done
file=${file%%$'\n'*}
file=${file##*/}
{
    echo '{"execute": "qmp_capabilities"}'
    echo "{\"execute\": \"${file%.*}\", \"arguments\": {\"id\": \"${file#*.}\"}}"
    sleep 2
} | socat -t 2 - "UNIX-CONNECT:$SNAP_QMP"
sleep infinity
