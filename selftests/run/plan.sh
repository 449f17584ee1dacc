# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034 # read by those who source this
#
# What demo.sh, host.sh and guest.sh have agreed on.

message_bytes=60000
messages=288
total_bytes=$((messages * message_bytes))
rate=20M # bytes per second: UDP has no flow control
mtu=65000

host_address=10.77.0.1
guest_address=10.77.0.2
to_host_port=7001
to_guest_port=7002

# Each direction reports to a file of "name value" lines, here.
share=${SNAP_VM_SHARE:?run by snap-vm only}

digest() { sha256sum <"$1" | cut -d ' ' -f 1; }

# wait_for TESTED_COMMAND...: for a minute at most.
wait_for() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        "$@" && return
        sleep 0.1
    done
    echo "gave up waiting for: $*" >&2
    return 1
}
