#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The host's end of check-programs.sh: every server, and a client for each
# time that the guest asks for one.  Plain sockets.
set -euo pipefail
here=$(dirname "$0")
share=${SNAP_VM_SHARE:?run by snap-vm only}
guest=10.77.0.2

for program in $("$here/case.sh" list); do
    "$here/case.sh" server "$program" >"$SNAP_VM_LOGS/server-$program.log" 2>&1 &
done
for program in $("$here/case.sh" list); do
    until "$here/case.sh" listens "$program"; do sleep 0.2; done
done
touch "$share/host-ready"

while sleep 0.2; do
    for asked in "$share"/ask.*; do
        [[ -e $asked ]] || continue
        rm "$asked"
        program=${asked##*/ask.}
        status=0
        timeout 120 "$here/case.sh" client "$program" "$guest" \
            >"$share/client.log" 2>&1 || status=$?
        echo "$status" >"$share/answer.part"
        mv "$share/answer.part" "$share/answer"
    done
done
