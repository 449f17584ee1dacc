#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# ethtool -C: what it takes, refuses and keeps; that received packets interrupt no
# more often than it allows, and that one alone arrives all the same.
#
# Machines: auto-2 copy-1 newest
# Paths: thread-auto-* main-auto-*
set -uo pipefail
# shellcheck source=../lib/tap.sh
. "$(dirname "$(readlink -f "$0")")/tap.sh"
trap 'rm -rf "$work"' EXIT

most=100000 # SNAP_HOLDOFF_MAX
packets=400

counter() {
    ethtool -S snap0 | sed -n "s/^ *$1: //p"
}
# shellcheck disable=SC2317
channels() {
    ethtool -l snap0 | sed -n 's/^Combined:[[:space:]]*//p' | tail -n 1
}
# These are run by name, by check().
# shellcheck disable=SC2317
shows() { # RX-USECS on|off
    ethtool -c snap0 >"$work/shown"
    grep -x "rx-usecs:[[:space:]]*$1" "$work/shown" &&
        grep "^Adaptive RX: $2 " "$work/shown"
}
# shellcheck disable=SC2317
refuses() { # WORD... OPTION VALUE
    ! ethtool -C snap0 "${@: -2}" 2>"$work/said" && cat "$work/said" &&
        grep -qi "$1" "$work/said"
}
# shellcheck disable=SC2317
survives() {
    local channels
    channels=$(channels)
    ip link set snap0 down && ip link set snap0 up &&
        ip addr replace fd77::2/64 dev snap0 nodad &&
        { ((channels < 2)) || { ethtool -L snap0 combined 1 &&
            ethtool -L snap0 combined "$channels"; }; } && shows "$1" off || return
    # the device knows it, too
    flood && ((came >= packets && interrupts <= allowed))
}
# Packets that an echo sends back one by one: the interrupts of that, and how many
# there may be, from the time that it took.
# shellcheck disable=SC2317
flood() { # sets: interrupts, allowed, came
    local before echo i start us at
    # a neighbour that is looked for has few packets waiting, and the others are lost
    ping -q -c 1 -W 10 10.77.0.1 || return
    before=$(counter interrupts)
    came=$(counter rx_packets)
    start=${EPOCHREALTIME/./}
    exec {echo}<>"/dev/udp/10.77.0.1/$SNAP_HOST_ECHO"
    for ((i = 0; i < packets; i++)); do
        printf x >&"$echo"
    done
    for ((i = 0; i < 200; i++)); do
        at=$(counter rx_packets)
        ((at < came + packets)) || break
        sleep 0.05
    done
    exec {echo}>&-
    us=$((${EPOCHREALTIME/./} - start))
    interrupts=$(($(counter interrupts) - before))
    came=$((at - came))
    # a batch has room for twenty such at least, and does not wait if it is full; of
    # each queue
    allowed=$(((us / most + packets / 20 + 2) * $(nproc)))
    echo "$came packets, $interrupts interrupts, $allowed allowed, $us us"
}
# Freely, each of those that come one by one interrupts, or nearly so; of a flood a
# busy host may give hundreds at once, which says nothing.
# shellcheck disable=SC2317
interrupts_fall() {
    local before freely
    before=$(counter interrupts)
    ping -q -A -c "$packets" 10.77.0.1 >/dev/null
    freely=$(($(counter interrupts) - before))
    echo "$freely interrupts for $packets packets one by one"
    ethtool -C snap0 rx-usecs "$most" || return
    flood && ((came >= packets && interrupts <= allowed && interrupts < freely))
}
# What is in force, of each channel.
# shellcheck disable=SC2317
in_force() {
    ethtool -Q snap0 queue_mask "$(printf '0x%x' $(((1 << $(channels)) - 1)))" \
        --show-coalesce | sed -n 's/^rx-usecs:[[:space:]]*//p'
}
# Is nothing held back, by any of them?
# shellcheck disable=SC2317
none_in_force() {
    (($(in_force | grep -cx 0) == $(channels)))
}
# shellcheck disable=SC2317
bulk_is_held() {
    local sender i status=1
    # it goes on until it is seen
    cat /dev/zero >"/dev/tcp/10.77.0.1/$SNAP_HOST_STREAM_SINK" &
    sender=$!
    for ((i = 0; i < 200 && status; i++)); do
        ! in_force | grep -x 250 || status=0
        sleep 0.1
    done
    kill "$sender"
    wait "$sender"
    return "$status"
}
# shellcheck disable=SC2317
small_are_not() {
    local i
    for ((i = 0; i < 20; i++)); do
        ping -q -c 20 -i 0.001 10.77.0.1 >/dev/null
        ! none_in_force || return 0
    done
    return 1
}
# shellcheck disable=SC2317
adapts() {
    ethtool -C snap0 adaptive-rx on && shows "$most" on || return
    # small ones are not held back; how often they interrupt depends on the host
    flood && ((came >= packets)) && none_in_force && ping -q -c 1 -W 10 10.77.0.1 &&
        bulk_is_held && small_are_not &&
        ethtool -C snap0 adaptive-rx off && shows "$most" off || return
    flood && ((came >= packets && interrupts <= allowed))
}

if [[ -z ${SNAP_HOST_ECHO:-} || -z ${SNAP_HOST_STREAM_SINK:-} ]]; then
    echo "TAP version 13"
    echo "1..0 # SKIP no echo or no sink on the host"
    exit 4
fi
bad=$(counter bad_register)
echo "TAP version 13"
echo "1..9"
check "nothing is held back at first" shows 0 off
check "more than the device knows is refused" refuses "at most $most" \
    rx-usecs $((most + 1))
check "what the device has not is refused" refuses "" tx-usecs 10
check "nothing has changed" shows 0 off
check "interrupts for packets become fewer" interrupts_fall
check "one packet arrives" ping -q -c 1 -W 10 10.77.0.1
check "it survives other settings" survives "$most"
check "adaptive" adapts
check "the device was asked for nothing that it has not" \
    test "$(counter bad_register)" -eq "$bad"
ethtool -C snap0 rx-usecs 0
exit $((failures != 0))
