#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The program of Documentation/porting.rst, against an ordinary TCP server: by
# reference, and by copy without the device.
#
# Machines: copy-1
set -uo pipefail
# shellcheck source=../lib/tap.sh
. "$(dirname "$(readlink -f "$0")")/tap.sh"
trap 'rm -rf "$work"' EXIT

porting=$(dirname "$(readlink -f "$0")")/../tools/porting

# What it has to send: 64 blocks, a to z and again.
# shellcheck disable=SC2317
wanted() {
    /usr/bin/python3 -c 'import sys
for i in range(64):
    sys.stdout.write(chr(97 + i % 26) * 65536)'
}

# Run by name, by check().
# shellcheck disable=SC2317
arrives() {
    local server text=$1 port=7300
    shift
    socat -u "TCP4-LISTEN:$port,bind=127.0.0.1,reuseaddr" \
        "OPEN:$work/got,creat,trunc" &
    server=$!
    for _ in {1..100}; do
        ! grep -qi "0100007F:$(printf %X "$port") 00000000:0000 0A" \
            /proc/net/tcp || break
        sleep 0.1
    done
    "$@" 127.0.0.1 "$port" >"$work/said" || {
        kill "$server"
        return 1
    }
    cat "$work/said"
    wait "$server" && grep -qx "$text" "$work/said" &&
        cmp <(wanted) "$work/got"
}

echo "TAP version 13"
echo "1..2"
check "by reference" \
    arrives "4194304 bytes by reference, 0 copied" "$porting"
check "without the device, by copy" \
    arrives "0 bytes by reference, 4194304 copied" \
    env SNAP_DEVICE=/nowhere "$porting"
exit $((failures != 0))
