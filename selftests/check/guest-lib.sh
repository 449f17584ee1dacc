# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared by the check scripts: machines with the peers that the tests want,
# and the sum of what they count.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/setup/lib.sh"
selftests=$SNAP_TOP/selftests

passed=0 failed=0 skipped=0
flaky=()

# The head of each test names the machines in which it can find something:
# CAPTURE-PROCESSORS with the stock kernel; asan, as share-2, in which the device
# is built with sanitizers; debug, as share-2 with the debug kernel; and newest, as
# auto-2 with the newest kernel that is to be had.
declare -A machines_of
read_machines() {
    local test name word
    { read -ra suite && read -ra others; } < <(make -s -C "$selftests" list)
    for test in "${suite[@]}" "${others[@]}"; do
        name=$test
        [[ $name == *.sh ]] || name+=.c
        machines_of[$test]=$(sed -n 's/^\( \*\|#\) Machines: *//p' \
            "$selftests"/*/"$name")
        for word in ${machines_of[$test]}; do
            [[ $word =~ ^((auto|share|copy)-[12]|asan|debug|newest)$ ]] ||
                die "$test: there is no machine $word"
        done
        # what runs in none would not be missed
        [[ ${machines_of[$test]} == *-* ]] || die "$test names no machine"
    done
}

# wants TEST MACHINE
wants() {
    [[ " ${machines_of[$1]} " == *" $2 "* ]]
}

# tests_of MACHINE: sets tests to those of the suite that want it.
tests_of() {
    local test
    tests=()
    for test in "${suite[@]}"; do
        ! wants "$test" "$1" || tests+=("$test")
    done
}

# options_of TEST: sets options to those of the machine that it has alone.
options_of() {
    options=()
    case $1 in
    queues) options+=(--queues 4 --smp 4) ;;
    refused)
        options+=(--queues 2 --smp 2 --device-opts ",x-datapath-delay=20000"
            --extra "-device snap,x-abi-version=2 -device snap,x-abi-version=99"
            --monitor --host selftests/peers/qmp-host.sh)
        ;;
    batches) options+=(--device-opts ",x-datapath-delay=2000") ;;
    unread) options+=(--pool-size 8M) ;;
    unplug) options+=(--queues 2 --monitor --host selftests/peers/qmp-host.sh) ;;
    bus_error) options+=(--smp 1) ;;
    stream_long) options+=(--timeout 900) ;;
    no_trap)
        options+=(--qemu "$selftests/vm/qemu-without-trap"
            --device-opts ",x-large-frames=off")
        ;;
    edge) options+=(--vhost-user --host selftests/peers/vhost-user.sh) ;;
    # The kernel tells of those that it kills.
    memcg) options+=(--expect 'invoked oom-killer|Call Trace') ;;
    *) die "$1 has no machine" ;;
    esac
}

# Arguments that leave out variants of the kernel's own sockets without our device:
# they have nothing to find where another machine has run them.
without_controls() {
    local family variant args=
    for family in inet4 inet6; do
        for variant in {,dgram_,stream_}$family ${family}_{lo,virtio}; do
            args+=" -V $variant"
        done
    done
    echo "${args# }"
}

# One more test of our own: report OUTCOME TEXT, 0 is good.
report() {
    if (($1 == 0)); then
        passed=$((passed + 1))
        echo "ok $((passed + failed)) $2"
    else
        failed=$((failed + 1))
        echo "not ok $((passed + failed)) $2"
    fi
}

# The last lines of every script; its status is that of the whole.
finish() {
    ((${#flaky[@]} == 0)) || echo "${#flaky[@]} flaky: ${flaky[*]}"
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}

# Echo servers, a sink and a recorder: plain sockets and tcpdump.
peers() {
    local record='udp port 7007 or udp port 7010 or ip6 proto 44'
    record+=' or (ip[6:2] & 0x1fff != 0)'
    # tests wait for errors of closed ports, and are not the first to get some
    local errors='cd /proc/sys/net; echo 0 | tee ipv4/icmp_ratelimit ipv6/icmp/ratelimit >/dev/null'
    printf '%s\n' \
        --host "exec selftests/peers/udp-echo 4 7007" \
        --host "exec selftests/peers/udp-echo 6 7007" \
        --host "exec selftests/peers/tcp-echo 7008" \
        --host "exec socat -u -b 65536 UDP4-RECV:7009 OPEN:/dev/null" \
        --host "exec build/selftests/stream_sink 7018" \
        --host "exec build/tools/snap-bench serve" \
        --host "echo 1 >/proc/sys/net/ipv4/ip_forward; $errors; sleep infinity" \
        --host "exec tcpdump -q -n -U -B 16384 -i tap0 -w \$SNAP_VM_LOGS/tap.pcap '$record'"
}

# vm NAME OPTION...: a machine, and the seconds that it takes.
vm() {
    local name=$1 start=$SECONDS status=0
    shift
    "$selftests/vm/snap-vm" --name "$name" "$@" || status=$?
    took "$((SECONDS - start))" "$name"
    return "$status"
}

# machine NAME OPTION... -- COMMAND...: a machine with these peers. Its output
# goes to build/logs/NAME.tap and only what failed is shown.
machine() {
    local name=$1 log status=0 args
    shift
    log=$SNAP_LOGS/$name.tap
    mkdir -p "$(dirname "$log")"
    mapfile -t args < <(peers)
    vm "$name" --mtu 65000 --cmdline iomem=relaxed \
        --env SNAP_HOST_ECHO=7007 --env SNAP_HOST_SINK=7009 \
        --env SNAP_HOST_STREAM=7008 --env SNAP_HOST_STREAM_SINK=7018 \
        --env SNAP_HOST_BENCH=7100 \
        "${args[@]}" "$@" >"$log" 2>&1 || status=$?
    return "$status"
}

# Machines side by side.  Their processors idle for much of the time, in tests
# that wait, and in those that use one: hence they may come to twice as many as the
# host has; for each of theirs there are up to 2 GB of memory.
declare -A up_name up_smp up_ends
up=0

# Each is a process group of its own, which a signal to ours does not reach.
end_all() {
    local pid
    for pid in "${!up_name[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    wait
}
trap end_all EXIT
trap 'exit 130' INT TERM

# begin NAME PROCESSORS ENDS COMMAND...: in the background, as soon as there is
# room. Once it has ended, ENDS NAME STATUS is called.
begin() {
    local name=$1 smp=$2 ends=$3
    shift 3
    while ((up > 0 && up + smp > 2 * SNAP_JOBS)); do
        await_one
    done
    say "$name"
    mkdir -p "$SNAP_LOGS/${name%/*}"
    set -m
    "$@" &
    set +m
    up_name[$!]=$name up_smp[$!]=$smp up_ends[$!]=$ends
    up=$((up + smp))
}

await_one() {
    local pid='' status=0
    wait -n -p pid "${!up_name[@]}" || status=$?
    [[ -n $pid ]] || die "lost ${up_name[*]}"
    up=$((up - up_smp[$pid]))
    "${up_ends[$pid]}" "${up_name[$pid]}" "$status"
    unset "up_name[$pid]" "up_smp[$pid]" "up_ends[$pid]"
}

await_all() {
    while ((up > 0)); do
        await_one
    done
}

# The part of a machine's output that says what went wrong, or was measured; then
# what was skipped, of which there is so much that it would hide the rest.
show() {
    local log=$SNAP_LOGS/$1.tap
    grep -E '^(not ok|snap-vm|  )|^# (not ok|# .*(Expected|FAIL))' "$log" |
        head -n 40 || true
    grep -E '^# # .*SKIP' "$log" | head -n 20 || true
}

# add NAME STATUS: adds what the machine's tests counted to the sum, and the
# seconds of each to the list.
add() {
    local log=$SNAP_LOGS/$1.tap line test seconds twice p=0 f=0 s=0
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" |
        tail -n 1) || true
    [[ -z $line ]] || read -r p _ f _ s _ <<<"$line"
    # frames that stayed away, a kernel that complained, no verdict
    (($2 == 0 || f > 0)) || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    while read -r test seconds; do
        took "$seconds" "$1/$test"
    done < <(sed -n 's/^# \([^ :]*\): \([0-9]*\) s$/\1 \2/p' "$log")
    seconds=$(sed -n "s,^\([0-9]*\)\t$1\$,\1,p" "$SNAP_LOGS/times" | tail -n 1)
    echo "# $1: $p passed, $f failed, $s skipped in ${seconds:-?} s"
    read -ra twice < <(sed -n 's/^[0-9]* flaky: //p' "$log") || true
    flaky+=("${twice[@]/#/$1/}")
    (($2 == 0 && f == 0 && s == 0 && ${#twice[@]} == 0)) || show "$1"
}

# For begin: adds it up, and keeps no recording.
ends() {
    add "$1" "$2"
    rm -f "$SNAP_LOGS/$1/tap.pcap"
}

# Poison of the tests is in the datagram to port 7010, which shows that it
# would be found, and in nothing else that the tap carried.
wire_is_clean() {
    local pcap=$SNAP_LOGS/$1/tap.pcap
    [[ -s $pcap && $(poison "$pcap" 'udp dst port 7010') -gt 0 &&
        $(poison "$pcap" 'not udp dst port 7010') == 0 ]]
}

# Lines, of what the filter leaves of the recording, that have poison. Read to
# the end: a pipe that breaks would be an answer.
poison() {
    { tcpdump -r "$1" -w - "$2" 2>/dev/null || echo tcpdump failed >&2; } |
        LC_ALL=C grep -acP '\xa5{8}' || true
}
