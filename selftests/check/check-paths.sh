#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-paths.sh [PATTERN...]
# Whatever moves packets, and in whatever state it is, the guest sees the same.  A
# machine is PATH-CAPTURE-QUEUES, for each PATH of
#
#   thread   a thread for each queue moves them
#   main     QEMU's main loop does
#   slowed   the thread waits before each packet
#   paused   the thread is paused and goes on, again and again: alone, or with the
#            machine
#   full     the thread waits, and few packets fill its queue: TX pauses all the time
#
# each capture mode, and 1, 2 and 4 queues.  A line "Paths: PATTERN..." in the head
# of a test names the machines in which it can find something:
#
# * What sends to the host, or receives from there, wants thread and main; if what
#   becomes of packets that have to wait matters, all.
# * The capture modes are for what sends from regions.
# * The numbers of queues are for all, also for commands of regions and snapshots,
#   which go by the queue of the calling processor.  No datapath touches those.
# * Tests over lo, of options and of tools find nothing here; those whose machine has
#   a small pool, or no device in the end (unread, unplug), stay in theirs.
#
# Each machine has to show that its path was what its name says: the monitor is asked
# all the time, a packet to the host and back has waited twice, packets were waiting in
# pauses, TX has paused.  With arguments only machines that match are run.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

delay=300 # microseconds that each packet waits, in slowed and full
packets=8 # that fill a queue, in full
# nor variants of tests that do not go over snap0
elsewhere=$(without_controls)
for variant in lo{,4,6} snap{4,6}_{lo,virtio} {dgram,stream}{4,6}; do
    elsewhere+=" -V $variant"
done

declare -A paths_of
read_paths() {
    local test name word machine
    for test in "${suite[@]}" "${others[@]}"; do
        name=$test
        [[ $name == *.sh ]] || name+=.c
        paths_of[$test]=$(sed -n 's/^\( \*\|#\) Paths: *//p' \
            "$selftests"/*/"$name")
        read -ra words <<<"${paths_of[$test]}"
        for word in "${words[@]}"; do
            for machine in "${machines[@]}"; do
                # shellcheck disable=SC2053 # a pattern
                [[ $machine != $word ]] || continue 2
            done
            die "$test: there is no machine $word"
        done
    done
}

# matches MACHINE PATTERN...
matches() {
    local machine=$1 word
    shift
    for word; do
        # shellcheck disable=SC2053 # a pattern
        [[ $machine != $word ]] || return 0
    done
    return 1
}

# Sets tests; those of machines of their own come first, as the last of the others
# take the device away.
tests_on() {
    local test
    tests=()
    for test in "${others[@]}" "${suite[@]}"; do
        read -ra words <<<"${paths_of[$test]}"
        ! matches "$1" "${words[@]}" || tests+=("$test")
    done
}

# run PATH CAPTURE QUEUES
run() {
    local name=paths/$1-$2-$3 smp=2 opts=,datapath=thread pause='' qdisc ping stats
    tests_on "$1-$2-$3"
    (($3 < 4)) || smp=4
    case $1 in
    main) opts=,datapath=main ;;
    slowed) opts+=,x-datapath-delay=$delay ;;
    paused) pause=pause ;;
    full) opts+=,x-datapath-delay=$delay,x-datapath-packets=$packets ;;
    esac
    # fq_codel drops what waits for long, as is its task
    qdisc='sysctl -qw net.core.default_qdisc=pfifo_fast
        tc qdisc add dev snap0 root pfifo && tc qdisc del dev snap0 root'
    ping='ping -q -c 20 -i 0.02 10.77.0.1'
    stats="echo tx_pauses=\$(build/tools/snapctl stats --json |
        sed -n 's/.*\"tx_pauses\": *\([0-9]*\).*/\1/p')"
    begin "$name" "$smp" path_ends machine "$name" --capture "$2" --queues "$3" \
        --smp "$smp" --device-opts "$opts" --virtio-net --timeout 900 --monitor \
        --peer "exec selftests/peers/paths-host.py $pause" \
        --env SNAP_TORN_SNAPSHOTS=1000 --env "SNAP_TEST_ARGS=$elsewhere" -- \
        "$qdisc; $ping; make -s -C selftests run_tests TESTS='${tests[*]}'; status=\$?
        $stats; exit \$status"
}

path_ends() {
    local name=$1 status=0 text
    ends "$name" "$2"
    text=$(met "$name") || status=1
    report "$status" "the path was ${name#paths/}: $text"
}

# met NAME: says what was seen of the path; ends with 0 if that is what it should be.
met() {
    local log=$SNAP_LOGS/$1.tap looks=0 threaded=0 pauses=0 waiting=0 rtt tx_pauses
    # shellcheck disable=SC1090 # written by peers/paths-host.py
    . "$SNAP_LOGS/$1/path" || return 1
    rtt=$(sed -n 's,^r[a-z-]* min/[^=]*= *\([0-9]*\)\.\([0-9]*\)/.*,\1\2,p' "$log")
    tx_pauses=$(sed -n 's/^tx_pauses=//p' "$log")
    echo "threads in $threaded of $looks looks," \
        "packets waited in $waiting of $pauses pauses," \
        "$tx_pauses pauses of TX, shortest way and back $rtt us"
    ((looks > 20)) || return 1
    case ${1#paths/} in
    main-*) ((threaded == 0)) ;;
    thread-*) ((threaded > looks / 2)) ;;
    slowed-*) ((threaded > looks / 2 && 10#$rtt >= 2 * delay)) ;;
    paused-*) ((threaded > looks / 2 && waiting > 10)) ;;
    full-*) ((threaded > looks / 2 && tx_pauses > 100)) ;;
    esac
}

make -s -C "$selftests" -j "$SNAP_JOBS"
read_machines
machines=()
for queues in 1 2 4; do
    for path in thread main slowed paused full; do
        for capture in auto share copy; do
            machines+=("$path-$capture-$queues")
        done
    done
done
read_paths
(($#)) || set -- '*'
for machine in "${machines[@]}"; do
    ! matches "$machine" "$@" || run ${machine//-/ }
done
await_all
finish
