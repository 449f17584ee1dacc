# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of snap-bench(1) for bash.

_snap_bench() {
    local word=$2 before=$3
    # bash takes "--count=5" for three words.
    case $before in
    = | -s | --size | -n | --count)
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W "-s --size= -n --count= -k --keep
            -h --help -V --version" -- "$word")
        [[ ${COMPREPLY[0]-} == *= ]] || compopt +o nospace
    else
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$word")
    fi
}

complete -F _snap_bench snap-bench
