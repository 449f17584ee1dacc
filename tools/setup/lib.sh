# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shared by the setup scripts: where things are, and how steps report.

SNAP_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SNAP_CACHE=${SNAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/snapnet}
SNAP_BUILD=$SNAP_TOP/build
SNAP_LOGS=$SNAP_BUILD/logs
SNAP_JOBS=${SNAP_JOBS:-$(nproc)}
export SNAP_TOP SNAP_CACHE SNAP_BUILD SNAP_LOGS SNAP_JOBS
# "make -j" has a jobserver that is not passed on: each make warns of that, and
# a warning in the log of a compiler is a failure.
unset MAKEFLAGS MFLAGS

say() {
    printf '[%s] %s\n' "$(date +%H:%M:%S)" "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# run_step TITLE LOG COMMAND...
# Runs a long command with its output in LOG. Every 20 s a line tells where it
# is; a failure ends in one line that names the log.
run_step() {
    local title=$1 log=$2 start=$SECONDS pid tick=0 last
    shift 2
    mkdir -p "$(dirname "$log")"
    say "$title ..."
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        tick=$((tick + 1))
        if ((tick % 100 == 0)); then
            last=$(tail -c 4000 "$log" | tr '\r' '\n' | grep -v '^ *$' |
                tail -n 1) || true
            last=${last//"$SNAP_TOP/"/}
            say "$title: $((SECONDS - start)) s: ${last:0:60}"
        fi
    done
    if ! wait "$pid"; then
        die "$title failed after $((SECONDS - start)) s, see $log"
    fi
    say "$title: done in $((SECONDS - start)) s"
    took "$((SECONDS - start))" "step: $title"
}

# took SECONDS WHAT: a line of build/logs/times, in place of an older one. WHAT is a
# stage of run-checks, STAGE/MACHINE, STAGE/MACHINE/TEST, or a "step: " of a build.
# Builds and machines end side by side.
took() {
    local times=$SNAP_LOGS/times
    mkdir -p "$SNAP_LOGS"
    touch "$times"
    (
        flock 7
        {
            awk -F '\t' -v what="$2" '$2 != what' "$times"
            printf '%s\t%s\n' "$@"
        } >"$times.new"
        mv "$times.new" "$times"
    ) 7>"$times.lock"
}

# Content hash of the given files and strings: short enough for a path.
hash_of() {
    sha256sum | cut -c1-16
}

debian_release() {
    # shellcheck disable=SC1091
    (. /etc/os-release && echo "${ID:-}:${VERSION_CODENAME:-}")
}
