#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# guest.sh stress-ng|trinity SECONDS
# The guest's end of check-stress.sh: runs one of them and says how many
# AF_SNAP sockets it had at once at most.
set -uo pipefail
tools=$(cd "$(dirname "$0")/../../build/tools" && pwd)
seconds=$2
work=$(mktemp -d /dev/shm/stress.XXXXXX)
chmod 777 "$work"
cd "$work" || exit 1

# What is done to the sockets. Trinity does not know what to make one of the
# family with: it asks for INET, TCP and UDP only, and snap-run makes them ours.
calls=(bind connect listen accept accept4 getsockname getpeername
    sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg setsockopt getsockopt
    shutdown read write readv writev splice sendfile ioctl poll ppoll select
    epoll_ctl mmap munmap mremap dup close fcntl)

case $1 in
stress-ng)
    "$tools/snap-run" stress-ng --sock 2 --sock-opts random --sockabuse 1 \
        --sockmany 1 --udp 2 --udp-flood 1 --timeout "${seconds}s" &
    ;;
trinity)
    # Its cache of sockets to begin with: family, type and protocol of each.
    for _ in {1..25}; do
        printf '\2\0\0\0\1\0\0\0\6\0\0\0\2\0\0\0\2\0\0\0\21\0\0\0'
    done >trinity.socketcache
    timeout -k 10 "$seconds" "$tools/snap-run" \
        setpriv --reuid 65534 --regid 65534 --clear-groups \
        trinity -q -l off -C 4 -P INET \
        --enable-fds=sockets "${calls[@]/#/-c}" >"$work/out" 2>&1 &
    ;;
esac
pid=$!
most=0
while kill -0 "$pid" 2>/dev/null; do
    now=$(($(wc -l </proc/net/snap) - 1))
    ((now <= most)) || most=$now
    sleep 0.5
done
status=0
wait "$pid" || status=$?
[[ ! -e $work/out ]] || tail -n 5 "$work/out"
cd / && rm -rf "$work"
echo "sockets at once: $most, status $status"
((most > 0))
