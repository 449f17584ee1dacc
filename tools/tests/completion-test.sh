#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What bash completes is what the programs say in --help, no less and no more:
# TAP.
set -euo pipefail

build=${1:?usage: completion-test.sh BUILD_FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C.UTF-8
# shellcheck source=tap.sh
. "$here/tap.sh"

# Only there while bash completes; the answers do not depend on it.
# shellcheck disable=SC2317 # called by the functions of the tools
compopt() { :; }

# completed WORD...: what bash offers for the last one, sorted, one a line.
completed() {
    local COMP_CWORD=$(($# - 1)) function
    local -a COMP_WORDS=("$@") COMPREPLY=()
    function=$(complete -p "$1")
    function=${function#*-F }
    "${function%% *}" "$1" "${*: -1}" "${*: -2:1}"
    ((${#COMPREPLY[@]} == 0)) ||
        printf '%s\n' "${COMPREPLY[@]%=}" | sort -u
}

# Of the lines of --help that begin with an option, those before the text.
options_of() {
    "$build/$1" --help | sed -n 's/^  *\(-.*\)/\1/p' | sed 's/   *.*//' |
        grep -oE '(^|[ ,])--?[A-Za-z0-9][a-z0-9-]*' | tr -d ' ,' | sort -u
}

for tool in snapcat snapctl snap-run snap-bench snaptrace; do
    # shellcheck disable=SC1090 # one of each tool
    . "$here/../$tool/$tool.bash"
    check "$tool: options" "$(options_of "$tool")" \
        "$({
            completed "$tool" -
            completed "$tool" --
        } | sort -u)"
    check "$tool: the rest of one" "--version" "$(completed "$tool" --vers)"
done

# Of the lines of "Commands:", the words before arguments in capitals.
commands() {
    "$build/snapctl" --help | sed -n '/^Commands:/,/^$/ s/^  \([a-z].*\)/\1/p' |
        sed 's/   *.*//; s/ [A-Z[].*//'
}
check "snapctl: commands" "$(commands | cut -d ' ' -f 1 | sort -u)" \
    "$(completed snapctl "")"
for group in region snapshot; do
    check "snapctl: commands of $group" \
        "$(commands | sed -n "s/^$group //p" | sort -u)" \
        "$(completed snapctl -j "$group" "")"
done
check "snapctl: a process" "$$" \
    "$(completed snapctl region show "$$" | grep -x "$$")"
check "snapctl: of stats, not of sockets" "" \
    "$(completed snapctl sockets --del)"
check "snaptrace: a process" "$$" "$(completed snaptrace -p "$$" | grep -x "$$")"
check "snap-run: a program" "sha256sum" "$(completed snap-run -H 1M sha256su)"
check "snap-bench: no option for a number" "" "$(completed snap-bench -r -)"
check "snap-bench: commands" "list run serve" \
    "$(completed snap-bench "" | paste -s -d ' ')"
check "snap-bench: rows" "loopback-tcp-rr-64" \
    "$(PATH=$build:$PATH completed snap-bench -r 7 run loopback-t)"
check "snapcat: nor behind =" "" "$(completed snapcat --count = -)"

end_of_tests
