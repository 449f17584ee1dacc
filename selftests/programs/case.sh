#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# case.sh server PROGRAM          until it is killed
# case.sh client PROGRAM ADDRESS  status 0: all that came is what was sent
# case.sh listens PROGRAM         status 0: the server is ready
# case.sh list
#
# One program as server and as client.  The same commands run at the host's
# end, plainly, and in the guest, under snap-run.  Both ends know the data.
# The functions are run by name:
# shellcheck disable=SC2317
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
data=$top/build/programs/data     # some MiB
piece=$top/build/programs/piece   # some hundred KiB, for those with a limit
python=/usr/bin/python3
work=$(mktemp -d /dev/shm/case.XXXXXX)

programs=(iperf3 socat nginx redis memcached python)
declare -A ports=(
    [iperf3]=7101 [socat]='7102 7103' [nginx]='7105 7106' [redis]=7107
    [memcached]=7108 [python]=7109
)
datagrams=7104 # of socat
block=131072   # of socat's, bytes
address=${3:-}

same() { # FILE FILE
    cmp "$1" "$2" && rm "$2"
}

# It counts bytes and does not look at them.
iperf3_server() { exec iperf3 -s -p "${ports[iperf3]}"; }

# One test; status 75 if the server would not have it.
iperf3_test() { # OPTION...
    iperf3 -J -c "$address" -p "${ports[iperf3]}" "$@" >"$work/report" || true
    "$python" - "$work/report" "$*" <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
if "error" in report:
    print("iperf3", sys.argv[2], report["error"])
    sys.exit(75)
end = report["end"]
if "sum_sent" in end and "sum_received" in end:
    sent, received = end["sum_sent"]["bytes"], end["sum_received"]["bytes"]
else:
    sent, received = end["sum"]["bytes"], end["sum"]["packets"]
print("iperf3", sys.argv[2], sent, received)
# the last segments may be on their way when the count ends
sys.exit(not received or not sent)
END
}

# Its server takes one client at a time, and a while to be done with it.
iperf3_client() {
    local -a ways=("-n 64M" "-n 64M -R" "-u -n 4M -b 40M -l 1400")
    local -i times
    local way status
    for way in "${ways[@]}"; do
        for ((times = 0; times < 10; times++)); do
            status=0
            # shellcheck disable=SC2086 # several words
            iperf3_test $way || status=$?
            ((status == 75)) || break
            sleep 1
        done
        ((status == 0)) || return 1
    done
}

socat_server() {
    local -a port
    read -ra port <<<"${ports[socat]}"
    socat -U -b "$block" "TCP-LISTEN:${port[0]},fork,reuseaddr" "OPEN:$data" &
    socat "UDP-RECVFROM:$datagrams,fork" EXEC:cat &
    trap 'kill $(jobs -p)' EXIT
    trap 'exit 0' TERM
    socat -b "$block" "TCP-LISTEN:${port[1]},fork,reuseaddr" EXEC:sha256sum &
    wait
}

socat_client() {
    local -a port
    local try
    read -ra port <<<"${ports[socat]}"
    socat -u -b "$block" "TCP:$address:${port[0]}" "CREATE:$work/got"
    same "$data" "$work/got"
    socat -t 60 -b "$block" - "TCP:$address:${port[1]}" <"$data" >"$work/digest"
    [[ $(<"$work/digest") == "$(sha256sum <"$data")" ]]
    for try in {1..5}; do # a datagram may be lost
        head -c 1400 "$data" >"$work/sent"
        socat -b 2000 -t 3 - "UDP:$address:$datagrams" <"$work/sent" \
            >"$work/got"
        ! cmp -s "$work/sent" "$work/got" || return 0
    done
    echo "no datagram came back in $try tries"
    return 1
}

# Files by sendfile(2), and read and written.
nginx_server() {
    local -a port
    read -ra port <<<"${ports[nginx]}"
    cat >"$work/nginx.conf" <<END
user root;
daemon off;
worker_processes 2;
pid $work/pid;
error_log stderr;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    root ${data%/*};
    server { listen ${port[0]}; listen [::]:${port[0]}; sendfile on; }
    server { listen ${port[1]}; sendfile off; output_buffers 2 256k; }
}
END
    exec nginx -e stderr -c "$work/nginx.conf"
}

nginx_client() {
    local port
    for port in ${ports[nginx]}; do
        curl -sSf -o "$work/got" "http://$address:$port/data"
        same "$data" "$work/got"
        wrk -t 1 -c 8 -d 2 "http://$address:$port/piece" >"$work/wrk"
        grep -E 'requests in|errors|Non-2xx' "$work/wrk"
        if grep -qE 'errors|Non-2xx|^ *0 requests' "$work/wrk"; then
            return 1
        fi
    done
}

redis_server() {
    exec redis-server --port "${ports[redis]}" --bind 0.0.0.0 :: \
        --protected-mode no --save '' --dir "$work" --repl-diskless-sync yes
}

redis_client() {
    local -a to=(-h "$address" -p "${ports[redis]}")
    redis-cli "${to[@]}" -x set piece <"$piece"
    redis-benchmark "${to[@]}" -q -c 8 -n 1000 -d 100000 -t set,get
    redis-benchmark "${to[@]}" -q -c 8 -n 4000 -P 4 -t incr,lrange_100
    redis-cli "${to[@]}" --raw get piece >"$work/got"
    truncate -s "$(stat -c %s "$piece")" "$work/got" # a newline
    same "$piece" "$work/got"
    # A child process of the server writes this, to the connection.
    redis-cli "${to[@]}" --rdb "$work/dump" >/dev/null
    redis-check-rdb "$work/dump" | tail -n 3
    "$python" -c 'import sys
piece, dump = (open(name, "rb").read() for name in sys.argv[1:])
sys.exit(piece not in dump)' "$piece" "$work/dump"
}

memcached_server() {
    exec memcached -u root -l 0.0.0.0 -p "${ports[memcached]}" -U 0 -m 32
}

memcached_client() {
    local server=$address:${ports[memcached]}
    local -i times
    for ((times = 0; times < 8; times++)); do
        memccp --servers="$server" "$piece"
        memccat --servers="$server" "${piece##*/}" >"$work/got"
        truncate -s "$(stat -c %s "$piece")" "$work/got" # a newline
        same "$piece" "$work/got"
    done
}

python_server() {
    exec "$python" -m http.server "${ports[python]}" --bind 0.0.0.0 \
        --directory "${data%/*}"
}

python_client() {
    "$python" - "http://$address:${ports[python]}/data" "$data" <<'END'
import sys, urllib.request
with open(sys.argv[2], "rb") as f:
    sys.exit(urllib.request.urlopen(sys.argv[1]).read() != f.read())
END
}

listens() {
    local port
    for port in ${ports[$1]}; do
        grep -q "$(printf ': [0-9A-F]*:%04X [0-9A-F]*:0000 0A' "$port")" \
            /proc/net/tcp /proc/net/tcp6 || return
    done
}

case $1 in
list) echo "${programs[@]}" ;;
listens) listens "$2" ;;
server) "$2_server" ;;
client)
    trap 'rm -rf "$work"' EXIT
    "$2_client"
    ;;
*) exit 2 ;;
esac
