#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The example of tools/examples/kvstore in both its modes, short, and what
# snapctl says of its regions and snapshots while it runs.
#
# Machines: share-2
set -uo pipefail
# shellcheck source=../lib/tap.sh
. "$(dirname "$(readlink -f "$0")")/tap.sh"

tools=$(dirname "$(readlink -f "$0")")/../tools
kvstore=$tools/kvstore
snapctl=$tools/snapctl
following=
trap '[[ -z $following ]] || kill "$following"; rm -rf "$work"' EXIT

# Python over the JSON that snapctl prints: the value of an expression over
# it, `o`.
json() {
    local expression=$1
    shift
    "$snapctl" --json "$@" | /usr/bin/python3 -c \
        'import json, sys; o = json.load(sys.stdin); print(eval(sys.argv[1]))' \
        "$expression"
}

# Both are run by name, by check().
# shellcheck disable=SC2317
is() {
    local got
    got=$(json "${@:2}") && echo "$got" && [[ $got == "$1" ]]
}

# The region that writer and reader have, "PID FD" of the writer.
published() {
    json '"".join("%d %d" % (r["holders"][0]["pid"], r["holders"][0]["fd"])
        for r in o["regions"]
        if {h["program"] for h in r["holders"]} == {"kvstore"}
        and len({h["pid"] for h in r["holders"]}) == 2)' region list
}

echo "TAP version 13"
if [[ $(json 'o["features"] & 32' status) == 0 ]]; then
    echo "1..0 # SKIP the device has no snapshots"
    exit 4
fi
echo "1..9"
check "checkpoints are consistent" \
    "$kvstore" checkpoint --seconds 2 --size 4 --file "$work/checkpoint"
check "with several writers, too" \
    "$kvstore" checkpoint --seconds 2 --size 2 --writers 3 --method snapshot \
    --file "$work/checkpoint"
check "a reader sees whole versions" "$kvstore" follow --versions 100
check "so do two, without a pause" \
    "$kvstore" follow --versions 100 --readers 2 --pause 0

"$kvstore" follow --versions 1000000 >"$work/follow" 2>&1 &
following=$!
for _ in {1..100}; do
    place=$(published)
    [[ -z $place ]] || break
    sleep 0.1
done
read -r pid fd <<<"$place"
check "snapctl finds the region and both processes" \
    [ "$pid" = "$following" ]
check "and shows it" is "('region', 1048576)" 'o["kind"], o["length"]' \
    region show "$pid" "$fd"
# Each side is a snapshot of its own: nobody must commit between the two.
kill -STOP "$following"
check "it does not differ from itself" is 0 'o["differ"]' \
    region diff "$pid" "$fd" "$pid" "$fd"
# The writer has one most of the time, not always.
# shellcheck disable=SC2317 # run by check()
lists_its_snapshots() {
    for _ in {1..50}; do
        ! is True 'any(h["pid"] == '"$following"' for s in o["snapshots"]
            for h in s["holders"])' snapshot list || return 0
        kill -CONT "$following"
        sleep 0.05
        kill -STOP "$following"
    done
    return 1
}
check "its snapshots are listed" lists_its_snapshots
kill "$following"
kill -CONT "$following"
wait "$following"
following=
for _ in {1..50}; do
    [[ $(json 'len(o["regions"])' region list) != 0 ]] || break
    sleep 0.1
done
check "and all are gone after it" is 0 'len(o["regions"])' region list
exit $((failures != 0))
